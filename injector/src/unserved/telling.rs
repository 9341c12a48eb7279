//! Says that pods lack their sidecars: on the pod, and on what its author looks at.

use std::time::Duration;

use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::ObjectReference},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client};
use tokio::time::timeout;
use tracing::debug;
use trilby_events::{News as Told, Reporter, Tone, tell};

use super::{
    judgement::{Reason, is_remade},
    ledger::{Key, News},
    selection::Exclusion,
};

/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells it; what cannot be told is logged.
pub(super) async fn told(client: Client, reporter: Reporter, news: News) {
    match news {
        News::Lacking {
            pod,
            uid,
            reason,
            repaired,
            owner,
        } => {
            let why = why(&reason);
            let what = what(&reason, repaired, owner.as_ref());
            let note = format!("no sidecar: {why}; {what}");
            let event = reporter.event(reference(&pod, &uid), lacking(&note));
            tell(client.clone(), event).await;
            if let Some(owner) = owner {
                let owner = top(&client, &pod.namespace, owner).await;
                let note = format!(
                    "pods without sidecar, {} among them: {why}; {what}",
                    pod.name
                );
                let event =
                    reporter.event(trilby_events::owner(&pod.namespace, &owner), lacking(&note));
                tell(client, event).await;
            }
        }
        News::InVain {
            namespace,
            owner,
            rest,
        } => {
            let owner = top(&client, &namespace, owner).await;
            let note = format!(
                "a pod was evicted for want of its sidecar, and none came with one: see which pods the webhook is asked \
                 about, and who makes these; no further one for {} s",
                rest.as_secs()
            );
            let news = Told {
                tone: Tone::Warning,
                reason: "RepairHasNoEffect",
                action: "Evict",
                note: &note,
            };
            tell(
                client,
                reporter.event(trilby_events::owner(&namespace, &owner), news),
            )
            .await;
        }
    }
}

fn lacking(note: &str) -> Told<'_> {
    Told {
        tone: Tone::Warning,
        reason: "NoSidecar",
        action: "Inject",
        note,
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::NotRegistered => {
            "the MutatingWebhookConfiguration dapr-sidecar-injector has no webhook".to_owned()
        }
        Reason::Excluded(Exclusion::Namespace) => {
            "the webhook's namespaceSelector leaves out its namespace".to_owned()
        }
        Reason::Excluded(Exclusion::Object) => {
            "the webhook's objectSelector leaves it out".to_owned()
        }
        Reason::Refused(words) => format!("the injector would refuse it: {words}"),
        Reason::BeforeInjector => "it is older than the injector's webhook".to_owned(),
        Reason::NoAnswer => "no injector answered when it was created".to_owned(),
        Reason::Unknown => "no injector answered when it was created, or its author may not have sidecars injected \
                            (dapr_sidecar_injector.allowedServiceAccounts), or a match condition left it out"
            .to_owned(),
    }
}

fn what(reason: &Reason, repaired: bool, owner: Option<&OwnerReference>) -> &'static str {
    match reason {
        _ if repaired => "it is evicted, so that its controller makes it anew",
        Reason::NotRegistered | Reason::Excluded(_) => "mend that, then create it anew",
        Reason::Refused(_) => "mend that in its owner",
        _ if owner.is_some_and(is_remade) => "delete it, and its controller makes it anew",
        _ => "create it anew",
    }
}

/// Who owns the controller, or the controller itself: nobody looks at the ReplicaSet of a Deployment.
async fn top(client: &Client, namespace: &str, owner: OwnerReference) -> OwnerReference {
    if owner.kind != "ReplicaSet" {
        return owner;
    }
    let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    match timeout(TIMEOUT, api.get_metadata(&owner.name)).await {
        Ok(Ok(set)) => {
            let owners = set.metadata.owner_references.unwrap_or_default();
            let mut owners = owners.into_iter();
            let top = owners.find(|owner| owner.controller == Some(true));
            top.unwrap_or(owner)
        }
        Ok(Err(error)) => {
            debug!(%error, "cannot read a ReplicaSet");
            owner
        }
        Err(_elapsed) => owner,
    }
}

fn reference(pod: &Key, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name.to_string()),
        namespace: Some(pod.namespace.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
