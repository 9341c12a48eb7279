//! Which Configuration each app is assigned, by the annotations of its pods.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::pin,
    sync::Arc,
};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, core::PartialObjectMeta, runtime::watcher::Event};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::Latch;
use trilby_go_syntax::truthy;

use crate::{
    cluster::Scope,
    watch::{self, Waiting},
};

const ENABLED: &str = "dapr.io/enabled";
const APP_ID: &str = "dapr.io/app-id";
const CONFIG: &str = "dapr.io/config";

/// The Configurations that apps are assigned. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Assignments(Arc<RwLock<Pods>>);

/// Dapr-enabled pods that name a Configuration, by namespace and name.
#[derive(Default)]
struct Pods {
    namespaces: HashMap<Box<str>, HashMap<Box<str>, Assignment>>,
    listed: Option<HashSet<(Box<str>, Box<str>)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    app_id: Box<str>,
    configuration: Box<str>,
}

impl Assignments {
    /// The names of the Configurations that the app's pods use: more than one only while they are being replaced by
    /// pods that use another.
    pub(crate) fn of(&self, namespace: &str, app_id: &str) -> BTreeSet<Box<str>> {
        let pods = self.0.read();
        pods.namespaces
            .get(namespace)
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|assignment| *assignment.app_id == *app_id)
            .map(|assignment| assignment.configuration.clone())
            .collect()
    }

    /// Follows the pods until `shutdown`.
    pub(crate) async fn run(
        self,
        client: Client,
        scope: Scope,
        latch: Latch,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let api: Api<PartialObjectMeta<Pod>> = match &scope {
            Scope::All => Api::all(client),
            Scope::Namespace(namespace) => Api::namespaced(client, namespace),
        };
        let mut events = pin!(watch::follow(
            api,
            None,
            "pods",
            Waiting::Latch(latch.clone())
        ));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(event) = events.next() => {
                    let listed = matches!(event, Event::InitDone);
                    self.observe(event);
                    if listed {
                        latch.ready();
                    }
                }
            }
        }
    }

    fn observe(&self, event: Event<PartialObjectMeta<Pod>>) {
        let mut pods = self.0.write();
        match event {
            Event::Init => pods.listed = Some(HashSet::new()),
            Event::InitApply(pod) => {
                if pods.apply(&pod)
                    && let Some(listed) = &mut pods.listed
                {
                    listed.insert(identify(&pod));
                }
            }
            Event::InitDone => pods.finish_relist(),
            Event::Apply(pod) => drop(pods.apply(&pod)),
            Event::Delete(pod) => pods.remove(&identify(&pod)),
        }
    }
}

impl Pods {
    /// Whether the pod is one to remember.
    fn apply(&mut self, pod: &PartialObjectMeta<Pod>) -> bool {
        let id = identify(pod);
        match assignment(pod) {
            Some(assignment) => {
                let (namespace, name) = id;
                self.namespaces
                    .entry(namespace)
                    .or_default()
                    .insert(name, assignment);
                true
            }
            None => {
                self.remove(&id);
                false
            }
        }
    }

    fn remove(&mut self, (namespace, name): &(Box<str>, Box<str>)) {
        if let Some(pods) = self.namespaces.get_mut(namespace) {
            pods.remove(name);
            if pods.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    fn finish_relist(&mut self) {
        let listed = self.listed.take().unwrap_or_default();
        self.namespaces.retain(|namespace, pods| {
            pods.retain(|name, _| listed.contains(&(namespace.clone(), name.clone())));
            !pods.is_empty()
        });
    }
}

fn assignment(pod: &PartialObjectMeta<Pod>) -> Option<Assignment> {
    let annotations = pod.annotations();
    annotations.get(ENABLED).filter(|value| truthy(value))?;
    let configuration = annotations.get(CONFIG).filter(|name| !name.is_empty())?;
    let app_id = annotations
        .get(APP_ID)
        .filter(|app_id| !app_id.is_empty())
        .cloned()
        .unwrap_or_else(|| pod.name_any());
    Some(Assignment {
        app_id: app_id.into(),
        configuration: configuration.as_str().into(),
    })
}

fn identify(pod: &PartialObjectMeta<Pod>) -> (Box<str>, Box<str>) {
    (
        pod.namespace().unwrap_or_default().into(),
        pod.name_any().into(),
    )
}

#[cfg(test)]
mod tests {
    use super::Assignments;
    use k8s_openapi::api::core::v1::Pod;
    use kube::{core::PartialObjectMeta, runtime::watcher::Event};
    use serde_json::{Value, json};

    fn pod(name: &str, annotations: &Value) -> PartialObjectMeta<Pod> {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        }))
        .unwrap()
    }

    fn assigned(assignments: &Assignments, app_id: &str) -> Vec<String> {
        let names = assignments.of("shop", app_id).into_iter();
        names.map(String::from).collect()
    }

    #[test]
    fn an_enabled_pod_with_a_configuration_assigns_it_to_its_app() {
        let assignments = Assignments::default();
        for (name, annotations) in [
            (
                "p1",
                json!({"dapr.io/enabled": "yes", "dapr.io/app-id": "cart", "dapr.io/config": "c1"}),
            ),
            (
                "p2",
                json!({"dapr.io/enabled": "true", "dapr.io/config": "c2"}),
            ),
            (
                "p3",
                json!({"dapr.io/enabled": "false", "dapr.io/app-id": "off", "dapr.io/config": "c3"}),
            ),
            (
                "p4",
                json!({"dapr.io/enabled": "true", "dapr.io/app-id": "plain"}),
            ),
        ] {
            assignments.observe(Event::Apply(pod(name, &annotations)));
        }
        assert_eq!(assigned(&assignments, "cart"), ["c1"]);
        assert_eq!(assigned(&assignments, "p2"), ["c2"]);
        assert!(assigned(&assignments, "off").is_empty());
        assert!(assigned(&assignments, "plain").is_empty());
        assert!(assignments.of("other", "cart").is_empty());
    }

    #[test]
    fn an_assignment_ends_with_the_pod_or_its_annotation() {
        let assignments = Assignments::default();
        let enabled =
            json!({"dapr.io/enabled": "true", "dapr.io/app-id": "cart", "dapr.io/config": "c1"});
        assignments.observe(Event::Apply(pod("p1", &enabled)));
        assignments.observe(Event::Apply(pod("p1", &json!({}))));
        assert!(assigned(&assignments, "cart").is_empty());
        assignments.observe(Event::Apply(pod("p1", &enabled)));
        assignments.observe(Event::Delete(pod("p1", &enabled)));
        assert!(assigned(&assignments, "cart").is_empty());
    }

    #[test]
    fn a_relist_forgets_pods_that_went_unseen() {
        let assignments = Assignments::default();
        let enabled =
            json!({"dapr.io/enabled": "true", "dapr.io/app-id": "cart", "dapr.io/config": "c1"});
        assignments.observe(Event::Apply(pod("gone", &enabled)));
        assignments.observe(Event::Init);
        assert_eq!(
            assigned(&assignments, "cart"),
            ["c1"],
            "kept until the list is complete"
        );
        assignments.observe(Event::InitDone);
        assert!(assigned(&assignments, "cart").is_empty());
    }
}
