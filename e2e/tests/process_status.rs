//! What became of a resource stands in its status: sidecars and an operator as processes, around a real control plane.

use serde_json::{Value, json};
use trilby_testkit::{ApiServer, mesh::Mesh, services::Operator};

struct Scene {
    mesh: Mesh,
    operator: Operator,
    namespace: String,
}

impl Scene {
    async fn start() -> Self {
        let mesh = Mesh::start(ApiServer::shared().await).await;
        let namespace = mesh.kube().namespace("apps").await;
        // Other tests use the same API server.
        let mut operator = mesh.operator().await.arg("--watch-namespace", &namespace);
        operator.start().await;
        Self {
            mesh,
            operator,
            namespace,
        }
    }

    /// A store whose settings have this value.
    async fn store(&self, value: &str) {
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "store", "namespace": self.namespace},
            "spec": {
                "type": "state.in-memory", "version": "v1", "ignoreErrors": true,
                "metadata": [{"name": "label", "value": value}],
            },
        });
        self.mesh.kube().apply(&component.to_string()).await;
    }

    /// Waits for a status that is as `wanted` says; gives the whole one.
    async fn status(&self, wanted: &Value) -> Value {
        let kube = self.mesh.kube();
        kube.eventually("the status says so", async |kube| {
            let component = kube
                .try_get_json(&self.namespace, "component/store")
                .await?;
            let status = component["status"].clone();
            let wanted = wanted.as_object().expect("fields");
            match wanted.iter().all(|(name, value)| status[name] == *value) {
                true => Ok(status),
                false => Err(anyhow::anyhow!("{wanted:?} is not in {status}")),
            }
        })
        .await
    }

    async fn event(&self, reason: &str) {
        let kube = self.mesh.kube();
        kube.eventually("an event tells of it", async |kube| {
            let events = kube.try_get_json(&self.namespace, "events").await?;
            let events = events["items"].as_array().cloned().unwrap_or_default();
            let found = events.iter().any(|event| {
                event["reason"] == reason && event["involvedObject"]["name"] == "store"
            });
            anyhow::ensure!(found, "no event {reason} in {events:?}");
            Ok(())
        })
        .await;
    }
}

/// The condition of that type: its status and its message.
fn condition<'s>(status: &'s Value, name: &str) -> (&'s str, &'s str) {
    let conditions = status["conditions"].as_array().expect("conditions");
    let found = conditions.iter().find(|one| one["type"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {status}"));
    let text = |field: &str| found[field].as_str().expect("text");
    (text("status"), text("message"))
}

#[tokio::test]
async fn a_component_says_where_it_fails_and_why_until_it_is_mended() {
    let mut scene = Scene::start().await;
    let cart = scene.mesh.daprd(&scene.namespace, "cart", &scene.operator);
    let mut cart = cart.await;
    let till = scene.mesh.daprd(&scene.namespace, "till", &scene.operator);
    let mut till = till.await.env("POD_NAME", "");
    cart.start().await;
    till.start().await;

    scene.store("{podName}").await;
    let fails = json!({"sidecars": "1/2", "expected": 2, "loaded": 1, "failed": 1, "observedGeneration": 1});
    let status = scene.status(&fails).await;
    assert_eq!(condition(&status, "Accepted").0, "True", "{status}");
    let (loaded, message) = condition(&status, "Loaded");
    assert_eq!(loaded, "False", "{status}");
    assert!(
        message.contains("till") && message.contains("POD_NAME is not set"),
        "{message}"
    );
    let apps = &status["apps"];
    assert_eq!(
        (&apps[0]["appId"], &apps[1]["appId"]),
        (&json!("till"), &json!("cart"))
    );
    assert!(apps[1].get("lastError").is_none(), "{apps}");
    scene.event("Failed").await;
    let table = scene
        .mesh
        .kube()
        .kubectl(&["get", "dcomp", "-n", &scene.namespace])
        .await;
    assert!(table.contains("LOADED") && table.contains("1/2"), "{table}");

    scene.store("mended").await;
    let whole = json!({"sidecars": "2/2", "failed": 0, "observedGeneration": 2});
    let status = scene.status(&whole).await;
    assert_eq!(condition(&status, "Loaded").0, "True", "{status}");
    scene.event("Loaded").await;

    scene.operator.stop().await;
    scene.operator.start().await;
    scene.store("after a restart").await;
    let status = scene
        .status(&json!({"sidecars": "2/2", "observedGeneration": 3}))
        .await;
    assert_eq!(condition(&status, "Loaded").0, "True", "{status}");

    till.stop().await;
    scene
        .status(&json!({"sidecars": "1/1", "expected": 1}))
        .await;
}
