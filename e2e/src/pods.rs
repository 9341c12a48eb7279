//! Pods, as far as the path looks at them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::scene::Scene;

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its containers by name.
    pub containers: BTreeMap<String, Container>,
    /// Its condition `Ready`.
    pub is_ready: bool,
    /// The audiences of the service account tokens that it mounts, by the volume's name.
    pub audiences: BTreeMap<String, String>,
    uid: String,
}

/// A container that runs in a pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    name: String,
    /// Its image.
    pub image: String,
    /// Whether it is ready.
    pub ready: bool,
    restart_count: u32,
}

/// What changes when a pod is replaced or one of its containers starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lives(BTreeMap<String, Vec<u32>>);

impl Scene {
    /// The pods with this label `app` that are not being deleted, in the namespace of the apps.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn pods(&self, app: &str) -> Result<Vec<Pod>> {
        self.pods_in(self.namespace(), app).await
    }

    /// The pods of any namespace with this label `app` that are not being deleted.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn pods_in(&self, namespace: &str, app: &str) -> Result<Vec<Pod>> {
        let selector = format!("app={app}");
        let arguments = [
            "get", "pods", "-n", namespace, "-l", &selector, "-o", "json",
        ];
        let list: Value = serde_json::from_str(&self.kube().try_kubectl(&arguments).await?)?;
        let items = list["items"].as_array().context("a list has items")?;
        let alive = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        items.iter().filter(alive).map(Pod::read).collect()
    }

    /// The only pod with this label `app`.
    ///
    /// # Errors
    /// If there is none.
    pub async fn pod(&self, app: &str) -> Result<Pod> {
        let pods = self.pods(app).await?;
        pods.into_iter()
            .next()
            .with_context(|| format!("there is no pod of {app}"))
    }

    /// What must stay as it is while nothing restarts.
    ///
    /// # Errors
    /// If the pods cannot be read.
    pub async fn lives(&self, apps: &[&str]) -> Result<Lives> {
        let mut lives = BTreeMap::new();
        for app in apps {
            for pod in self.pods(app).await? {
                let restarts = pod.containers.values().map(|one| one.restart_count);
                lives.insert(pod.uid, restarts.collect());
            }
        }
        Ok(Lives(lives))
    }
}

impl Pod {
    fn read(pod: &Value) -> Result<Self> {
        let text = |pointer: &str| {
            let value = pod.pointer(pointer).and_then(Value::as_str);
            value.with_context(|| format!("a pod without {pointer}"))
        };
        let statuses = &pod["status"]["containerStatuses"];
        let containers: Vec<Container> = match statuses {
            Value::Null => Vec::new(),
            statuses => Vec::deserialize(statuses)?,
        };
        let conditions = pod["status"]["conditions"].as_array();
        Ok(Self {
            name: text("/metadata/name")?.to_owned(),
            uid: text("/metadata/uid")?.to_owned(),
            containers: containers
                .into_iter()
                .map(|container| (container.name.clone(), container))
                .collect(),
            is_ready: conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
            audiences: audiences(pod),
        })
    }

    /// How many containers are ready, and of how many: `2/2`.
    pub fn ready_of_all(&self) -> String {
        let ready = self.containers.values().filter(|one| one.ready).count();
        format!("{ready}/{}", self.containers.len())
    }

    /// Restarts of all containers together.
    pub fn restarts(&self) -> u32 {
        self.containers.values().map(|one| one.restart_count).sum()
    }
}

fn audiences(pod: &Value) -> BTreeMap<String, String> {
    let volumes = pod["spec"]["volumes"].as_array();
    let mut found = BTreeMap::new();
    for volume in volumes.into_iter().flatten() {
        let sources = volume["projected"]["sources"].as_array();
        for source in sources.into_iter().flatten() {
            if let Some(audience) = source["serviceAccountToken"]["audience"].as_str() {
                let name = volume["name"].as_str().unwrap_or_default();
                found.insert(name.to_owned(), audience.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "a-1", "uid": "u1"},
            "spec": {"volumes": [
                {"name": "code", "configMap": {"name": "code"}},
                {"name": "kube-api-access", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
                {"name": "dapr-identity-token", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token", "audience": "sentry"}},
                ]}},
            ]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {"name": "a", "image": "i", "ready": true, "restartCount": 0},
                    {"name": "daprd", "image": "d", "ready": false, "restartCount": 2},
                ],
            },
        })
    }

    #[test]
    fn readiness_restarts_and_tokens_are_read() {
        let pod = Pod::read(&pod()).unwrap();
        assert_eq!((pod.ready_of_all().as_str(), pod.restarts()), ("1/2", 2));
        assert!(pod.is_ready);
        let expected = ("dapr-identity-token".to_owned(), "sentry".to_owned());
        assert_eq!(pod.audiences.into_iter().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_pod_that_has_not_started_has_no_containers() {
        let mut pod = pod();
        pod["status"] = json!({"phase": "Pending"});
        let pod = Pod::read(&pod).unwrap();
        assert!(pod.containers.is_empty() && !pod.is_ready);
    }
}
