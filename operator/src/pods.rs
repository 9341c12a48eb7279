//! Which Configuration each app is assigned, by the annotations of its pods.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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

/// Dapr-enabled pods that name a Configuration, by namespace.
#[derive(Default)]
struct Pods {
    namespaces: HashMap<Box<str>, Namespace>,
    listed: Option<HashSet<(Box<str>, Box<str>)>>,
}

#[derive(Default)]
struct Namespace {
    /// By the pod's name.
    pods: HashMap<Box<str>, Assignment>,
    /// How many pods of an app name a Configuration: thousands of streams ask at once.
    apps: HashMap<Box<str>, BTreeMap<Box<str>, usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    app_id: Box<str>,
    configuration: Box<str>,
}

impl Assignments {
    /// Whether pods of the app use the Configuration. They use more than one only while they are being replaced by
    /// pods that use another.
    pub(crate) fn names(&self, namespace: &str, app_id: &str, configuration: &str) -> bool {
        let pods = self.0.read();
        let apps = pods.namespaces.get(namespace).map(|pods| &pods.apps);
        let used = apps.and_then(|apps| apps.get(app_id));
        used.is_some_and(|used| used.contains_key(configuration))
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
            if pods.pods.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    fn finish_relist(&mut self) {
        let listed = self.listed.take().unwrap_or_default();
        self.namespaces.retain(|namespace, pods| {
            pods.retain(|name| listed.contains(&(namespace.clone(), name.into())));
            !pods.pods.is_empty()
        });
    }
}

impl Namespace {
    fn insert(&mut self, name: Box<str>, assignment: Assignment) {
        self.remove(&name);
        let app = self.apps.entry(assignment.app_id.clone()).or_default();
        *app.entry(assignment.configuration.clone()).or_default() += 1;
        self.pods.insert(name, assignment);
    }

    fn remove(&mut self, name: &str) {
        let Some(Assignment {
            app_id,
            configuration,
        }) = self.pods.remove(name)
        else {
            return;
        };
        let Some(app) = self.apps.get_mut(&app_id) else {
            return;
        };
        if let Some(pods) = app.get_mut(&configuration) {
            *pods -= 1;
            if *pods == 0 {
                app.remove(&configuration);
            }
        }
        if app.is_empty() {
            self.apps.remove(&app_id);
        }
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self
            .pods
            .keys()
            .filter(|name| !keep(name))
            .cloned()
            .collect();
        for name in gone {
            self.remove(&name);
        }
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

    fn assigned(assignments: &Assignments, app_id: &str) -> Vec<&'static str> {
        let named = |name: &&str| assignments.names("shop", app_id, name);
        ["c1", "c2", "c3"].into_iter().filter(named).collect()
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
        assert!(!assignments.names("other", "cart", "c1"));
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
    fn a_configuration_is_assigned_as_long_as_one_pod_names_it() {
        let assignments = Assignments::default();
        let of = |configuration: &str| json!({"dapr.io/enabled": "true", "dapr.io/app-id": "cart", "dapr.io/config": configuration});
        for name in ["p1", "p2"] {
            assignments.observe(Event::Apply(pod(name, &of("c1"))));
        }
        assignments.observe(Event::Apply(pod("p1", &of("c2"))));
        assert_eq!(assigned(&assignments, "cart"), ["c1", "c2"]);
        assignments.observe(Event::Apply(pod("p2", &of("c2"))));
        assert_eq!(assigned(&assignments, "cart"), ["c2"]);
        for name in ["p1", "p2"] {
            assignments.observe(Event::Delete(pod(name, &of("c2"))));
        }
        assert!(assignments.0.read().namespaces.is_empty());
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
