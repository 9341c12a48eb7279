//! Who has to trust the next root, and who holds nothing but the old one.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Container, Pod};

use super::{
    Evidence, Record,
    decision::MOUNT_LAG,
    evidence::{HolderKey, holder_key, shared_root},
    roots::roots,
};

/// The container of a sidecar, and what it holds of the anchors since its pod was made.
const SIDECAR: &str = "daprd";
const TRUST_ANCHORS: &str = "DAPR_TRUST_ANCHORS";

/// The annotation of the control plane's pods, and the ConfigMap that some of them follow.
const CONTROL_PLANE: &str = "dapr.io/control-plane";
const TRUST_BUNDLE: &str = "dapr-trust-bundle";

/// Who is to be thought of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holders {
    /// It could not be found out, and why.
    Unknown(String),
    Known {
        /// Those who are not known to trust the new root.
        untrusting: Vec<String>,
        /// Those whose pod was made with other roots alone.
        snapshots: Vec<String>,
    },
}

/// What matters of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodHolder {
    key: HolderKey,
    name: String,
    /// The roots in its specification, if there are any.
    snapshot: Option<Vec<String>>,
    /// Whether it reads the anchors from the ConfigMap.
    follows: bool,
}

/// The pods that hold anchors, as they were listed last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pods {
    pub(crate) holders: Vec<PodHolder>,
    /// What replicas share: holders, and the beginning of the root that each trusts.
    pub(crate) shared: BTreeMap<HolderKey, String>,
}

/// Reads pods; many have the same text of anchors, which is read once.
#[derive(Debug, Default)]
pub(crate) struct PodReader {
    snapshots: HashMap<String, Vec<String>>,
}

// === impl PodReader ===

impl PodReader {
    /// What matters of a pod; `None` if it holds no anchors, or runs no more.
    pub(crate) fn read(&mut self, pod: &Pod) -> Option<PodHolder> {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        let spec = pod.spec.as_ref()?;
        let init = spec.init_containers.iter().flatten();
        let sidecar = init
            .chain(&spec.containers)
            .find(|container| container.name == SIDECAR);
        let service = annotation(pod, CONTROL_PLANE);
        // Sentry itself trusts what it has stored.
        if sidecar.is_none() && service.is_none_or(|service| service == "sentry") {
            return None;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let mut volumes = spec.volumes.iter().flatten();
        let follows = volumes.any(|volume| {
            let config_map = volume.config_map.as_ref();
            config_map.is_some_and(|config_map| config_map.name == TRUST_BUNDLE)
        });
        Some(PodHolder {
            key: holder_key(pod.metadata.uid.as_deref()?),
            name: format!("{namespace}/{name}"),
            snapshot: sidecar.and_then(|sidecar| self.snapshot(sidecar)),
            follows,
        })
    }

    fn snapshot(&mut self, sidecar: &Container) -> Option<Vec<String>> {
        let mut env = sidecar.env.iter().flatten();
        let anchors = env
            .find(|variable| variable.name == TRUST_ANCHORS)?
            .value
            .as_ref()?;
        if !self.snapshots.contains_key(anchors) {
            let found = roots(anchors.as_bytes());
            let found = found.into_iter().map(|root| root.fingerprint).collect();
            self.snapshots.insert(anchors.clone(), found);
        }
        self.snapshots.get(anchors).cloned()
    }
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(key)
        .map(String::as_str)
}

// === impl Pods ===

impl Pods {
    /// Who is to be thought of, when the phase has lasted so long.
    pub(crate) fn holders(
        &self,
        record: &Record,
        evidence: &Evidence,
        lasted: Duration,
    ) -> Holders {
        let Some(root) = record.target() else {
            return Holders::Unknown("the new root is not known".to_owned());
        };
        let has_root = |holder: &PodHolder| {
            let mut snapshot = holder.snapshot.iter().flatten();
            snapshot.any(|held| held == root)
        };
        let trusts = |holder: &PodHolder| {
            let shared = self.shared.get(&holder.key).map(String::as_str);
            has_root(holder)
                || shared == Some(shared_root(root))
                || (holder.follows && lasted >= MOUNT_LAG)
                || evidence.is_trusting(&holder.key)
        };
        let names = |chosen: &dyn Fn(&PodHolder) -> bool| {
            let chosen = self.holders.iter().filter(|holder| chosen(holder));
            let mut names: Vec<_> = chosen.map(|holder| holder.name.clone()).collect();
            names.sort_unstable();
            names
        };
        Holders::Known {
            untrusting: names(&|holder| !trusts(holder)),
            snapshots: names(&|holder| holder.snapshot.is_some() && !has_root(holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::source::testing::documents;

    fn anchors() -> (String, String) {
        let sentry = "spiffe://td/ns/default/dapr-sentry".parse().unwrap();
        let td = trilby_identity::TrustDomain::parse("td").unwrap();
        let now = std::time::SystemTime::now();
        let ca = documents(&sentry, &td, (now, Duration::ZERO)).ca;
        let root = roots(&ca)[0].fingerprint.clone();
        (String::from_utf8(ca).unwrap(), root)
    }

    fn sidecar(uid: &str, anchors: &str) -> Value {
        json!({
            "metadata": {"name": uid, "namespace": "shop", "uid": uid},
            "spec": {"containers": [
                {"name": "app"},
                {"name": "daprd", "env": [{"name": "DAPR_TRUST_ANCHORS", "value": anchors}]},
            ]},
        })
    }

    fn service(uid: &str, name: &str) -> Value {
        json!({
            "metadata": {"name": uid, "namespace": "dapr-system", "uid": uid,
                         "annotations": {"dapr.io/control-plane": name}},
            "spec": {"containers": [{"name": "x"}],
                     "volumes": [{"name": "a", "configMap": {"name": "dapr-trust-bundle"}}]},
        })
    }

    fn pods(values: &[Value]) -> Pods {
        let mut reader = PodReader::default();
        let pods = values
            .iter()
            .map(|value| serde_json::from_value(value.clone()).unwrap());
        Pods {
            holders: pods.filter_map(|pod: Pod| reader.read(&pod)).collect(),
            shared: BTreeMap::new(),
        }
    }

    #[test]
    fn pods_trust_by_their_specification_by_what_they_said_or_by_what_a_replica_heard() {
        let ((old, _), (new, root)) = (anchors(), anchors());
        let record = Record {
            new_roots: vec![root.clone()],
            ..Record::default()
        };
        let evidence = Evidence::default();
        evidence.listen(Some(&root));
        let mut init = sidecar("init", &old);
        init["spec"]["initContainers"] = init["spec"]["containers"].take();
        init["spec"]["containers"] = json!([{"name": "app"}]);
        let mut pods = pods(&[
            sidecar("both", &format!("{old}{new}")),
            sidecar("old", &old),
            sidecar("heard", &old),
            sidecar("shared", &old),
            init,
            service("operator-1", "operator"),
            service("sentry-1", "sentry"),
            json!({"metadata": {"name": "bare", "uid": "bare"}, "spec": {"containers": [{"name": "app"}]}}),
        ]);
        pods.shared
            .insert(holder_key("shared"), root[..8].to_owned());
        pods.shared.insert(holder_key("old"), "00000000".to_owned());
        let mut metadata = tonic::metadata::MetadataMap::new();
        metadata.insert(
            trilby_identity::TRUST_ANCHORS_METADATA,
            root.parse().unwrap(),
        );
        let heard = super::super::evidence::Asker {
            uid: "heard",
            name: "heard",
        };
        evidence.hear(heard, &metadata);
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let snapshots = names(&["shop/heard", "shop/init", "shop/old", "shop/shared"]);
        assert_eq!(
            pods.holders(&record, &evidence, Duration::ZERO),
            Holders::Known {
                untrusting: names(&["dapr-system/operator-1", "shop/init", "shop/old"]),
                snapshots: snapshots.clone(),
            }
        );
        assert_eq!(
            pods.holders(&record, &evidence, MOUNT_LAG),
            Holders::Known {
                untrusting: names(&["shop/init", "shop/old"]),
                snapshots,
            }
        );
    }

    #[test]
    fn pods_that_have_ended_hold_nothing() {
        for phase in ["Succeeded", "Failed"] {
            let mut pod = sidecar("a", "x");
            pod["status"] = json!({"phase": phase});
            assert!(pods(&[pod]).holders.is_empty());
        }
        let mut pod = sidecar("a", "x");
        pod["status"] = json!({"phase": "Pending"});
        assert_eq!(pods(&[pod]).holders.len(), 1);
    }
}
