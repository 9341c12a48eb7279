//! What is told of a pod in a Kubernetes Event, on what made the pod. Pure.
//!
//! A pod that is being admitted does not exist yet, and one that is refused never will: what there is to look at is its
//! controller. A pod without one is named, if it has a name.

mod schedule;

use k8s_openapi::{
    api::core::v1::{ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use trilby_events::{News, Tone, owner};

pub(crate) use schedule::{Schedule, Turn};

/// What became of a pod that asks for a sidecar, or seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was refused.
    Refused,
    /// It was created without a sidecar.
    PassedOver,
    /// It has its sidecar, and something about it is not as its author may think.
    Warned,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub(crate) regarding: ObjectReference,
    pub(crate) outcome: Outcome,
    pub(crate) note: String,
}

impl Outcome {
    /// Key of the audit annotation, which the API server puts the webhook's name before.
    pub(crate) fn audit_key(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::PassedOver => "passed-over",
            Self::Warned => "warnings",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Refused => "SidecarRefused",
            Self::PassedOver => "SidecarNotInjected",
            Self::Warned => "SidecarWarnings",
        }
    }
}

impl Notice {
    /// Nothing where there is no object to tell it on.
    pub(crate) fn new(
        pod: &Pod,
        namespace: &str,
        outcome: Outcome,
        reasons: &[String],
    ) -> Option<Self> {
        Some(Self {
            regarding: regarding(pod, namespace)?,
            outcome,
            note: reasons.join("; "),
        })
    }

    pub(crate) fn news(&self) -> News<'_> {
        News {
            tone: Tone::Warning,
            reason: self.outcome.reason(),
            action: "InjectSidecar",
            note: &self.note,
        }
    }
}

fn regarding(pod: &Pod, namespace: &str) -> Option<ObjectReference> {
    if let Some(controller) = controller(pod) {
        return Some(owner(namespace, controller));
    }
    let name = pod.metadata.name.clone().filter(|name| !name.is_empty())?;
    Some(ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(name),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    })
}

/// A node, which owns the mirrors of its static pods, is in no namespace, so that no Event here can be on it.
fn controller(pod: &Pod) -> Option<&OwnerReference> {
    let owners = pod.metadata.owner_references.as_deref()?;
    let mut controllers = owners.iter().filter(|owner| owner.controller == Some(true));
    controllers.find(|owner| owner.kind != "Node")
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn kind_and_name(metadata: serde_json::Value) -> Option<(String, String)> {
        let pod: Pod = from_value(json!({ "metadata": metadata })).unwrap();
        let notice = Notice::new(&pod, "shop", Outcome::Refused, &["a".to_owned()])?;
        assert_eq!(notice.regarding.namespace.as_deref(), Some("shop"));
        notice.regarding.kind.zip(notice.regarding.name)
    }

    fn made_by(kind: &str, controller: bool) -> serde_json::Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": "made-it", "uid": "1", "controller": controller})
    }

    fn some(kind: &str, name: &str) -> Option<(String, String)> {
        Some((kind.to_owned(), name.to_owned()))
    }

    #[test]
    fn it_is_told_on_the_controller_else_on_the_pod_by_name() {
        let owners = json!([made_by("Helper", false), made_by("ReplicaSet", true)]);
        let made = json!({"generateName": "a-", "ownerReferences": owners});
        assert_eq!(kind_and_name(made), some("ReplicaSet", "made-it"));
        assert_eq!(kind_and_name(json!({"name": "solo"})), some("Pod", "solo"));
        assert_eq!(kind_and_name(json!({"generateName": "a-"})), None);
        let mirror = json!({"name": "etcd-1", "ownerReferences": [made_by("Node", true)]});
        assert_eq!(kind_and_name(mirror), some("Pod", "etcd-1"));
    }
}
