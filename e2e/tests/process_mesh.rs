//! Sidecars in Kubernetes mode, as processes around a real control plane and a real Redis: what reaches an app, and what
//! it is told when something is missing, broken or away.

use std::time::Duration;

use serde_json::{Value, json};
use trilby_testkit::ApiServer;
use trilby_testkit::http::Client;
use trilby_testkit::mesh::Mesh;
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::{Daprd, Operator};

const PASSWORD: &str = "correct-horse";

/// A control plane, a namespace for apps and a Redis with a password.
struct Scene {
    mesh: Mesh,
    operator: Operator,
    redis: Redis,
    namespace: String,
}

impl Scene {
    async fn start() -> Self {
        let mut scene = Self::without_operator().await;
        scene.operator.start().await;
        scene
    }

    /// Until it is started: then it has what was applied before.
    async fn without_operator() -> Self {
        let api = ApiServer::shared().await;
        let mesh = Mesh::start(api).await;
        let operator = mesh.operator().await;
        let redis = Redis::with_password(PASSWORD).await;
        let namespace = mesh.kube().namespace("apps").await;
        Self {
            mesh,
            operator,
            redis,
            namespace,
        }
    }

    /// The Secret `redis` with this password.
    async fn secret(&self, password: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "redis", "namespace": self.namespace},
            "stringData": {"password": password},
        });
        self.mesh.kube().apply(&secret.to_string()).await;
    }

    /// A Component of this type with this metadata.
    async fn component(&self, name: &str, kind: &str, metadata: Value) {
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": kind, "version": "v1", "metadata": metadata},
        });
        self.mesh.kube().apply(&component.to_string()).await;
    }

    /// A `state.redis` Component whose password stands in the Secret.
    async fn redis_component(&self) {
        let metadata = json!([
            {"name": "redisHost", "value": self.redis.address().to_string()},
            {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}},
        ]);
        self.component("store", "state.redis", metadata).await;
    }

    async fn sidecar(&self, app_id: &str) -> Daprd {
        let mut daprd = self
            .mesh
            .daprd(&self.namespace, app_id, &self.operator)
            .await;
        daprd.start().await;
        daprd
    }

    /// It serves its APIs, but is not ready: a component failed at its start.
    async fn sidecar_with_broken_components(&self, app_id: &str) -> Daprd {
        let mut daprd = self
            .mesh
            .daprd(&self.namespace, app_id, &self.operator)
            .await;
        daprd.launch();
        let url = daprd.url("/v1.0/metadata");
        trilby_testkit::eventually::eventually("the API answers", async || {
            Client::host()
                .get(&url)
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await;
        assert!(!daprd.is_healthy().await, "components failed");
        daprd
    }
}

async fn save(daprd: &Daprd, store: &str, value: &str) -> Result<(), String> {
    let url = daprd.url(&format!("/v1.0/state/{store}"));
    let body = json!([{"key": "k", "value": value}]).to_string();
    let answer = Client::host()
        .post(&url, &body)
        .await
        .map_err(|error| format!("{error:#}"))?;
    if answer.status == 204 {
        Ok(())
    } else {
        Err(format!("{} {}", answer.status, answer.text()))
    }
}

/// Saves as soon as the store is there: a sidecar may start before the operator has heard of a Component.
async fn saves(daprd: &Daprd, store: &str, value: &str) {
    trilby_testkit::eventually::eventually("the store takes it", async || {
        save(daprd, store, value).await
    })
    .await;
}

async fn read(daprd: &Daprd, store: &str) -> Result<String, String> {
    let url = daprd.url(&format!("/v1.0/state/{store}/k"));
    let answer = Client::host()
        .get(&url)
        .await
        .map_err(|error| format!("{error:#}"))?;
    if answer.status == 200 {
        Ok(answer.text())
    } else {
        Err(format!("{} {}", answer.status, answer.text()))
    }
}

async fn metadata(daprd: &Daprd) -> Value {
    Client::host()
        .get(&daprd.url("/v1.0/metadata"))
        .await
        .expect("the metadata API answers")
        .json()
}

/// Waits until the metadata API gives this reason for a component.
async fn shows_error(daprd: &Daprd, component: &str, part: &str) {
    trilby_testkit::eventually::eventually("the metadata API shows the reason", async || {
        let metadata = metadata(daprd).await;
        let error = metadata["extended"][format!("component.{component}.error")]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if error.contains(part) {
            Ok(())
        } else {
            Err(format!("{part:?} is not in {error:?}: {metadata}"))
        }
    })
    .await;
}

#[tokio::test]
async fn state_reaches_redis_in_upstreams_layout() {
    let scene = Scene::start().await;
    scene.secret(PASSWORD).await;
    scene.redis_component().await;
    let daprd = scene.sidecar("a").await;
    saves(&daprd, "store", "v").await;
    assert_eq!(read(&daprd, "store").await.unwrap(), "\"v\"");
    assert_eq!(scene.redis.command(&["HGET", "a||k", "data"]), "\"v\"");
    assert_eq!(scene.redis.command(&["HGET", "a||k", "version"]), "1");
}

#[tokio::test]
async fn a_new_password_takes_effect_without_a_restart() {
    let mut scene = Scene::start().await;
    scene.secret(PASSWORD).await;
    scene.redis_component().await;
    let daprd = scene.sidecar("a").await;
    saves(&daprd, "store", "before").await;
    let pid = daprd.pid();

    scene.redis.change_password("battery-staple");
    scene.secret("battery-staple").await;
    // Any change of the Component makes the operator read the Secret again at once.
    let metadata = json!([
        {"name": "redisHost", "value": scene.redis.address().to_string()},
        {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}},
        {"name": "redisDB", "value": "0"},
    ]);
    scene.component("store", "state.redis", metadata).await;
    trilby_testkit::eventually::eventually("the new password is in use", async || {
        save(&daprd, "store", "after").await
    })
    .await;
    assert_eq!(daprd.pid(), pid);
}

#[tokio::test]
async fn stores_come_and_go_and_a_broken_update_leaves_the_old_one() {
    let scene = Scene::start().await;
    scene
        .component("scratch", "state.in-memory", json!([]))
        .await;
    let daprd = scene.sidecar("a").await;
    saves(&daprd, "scratch", "v").await;

    scene.component("late", "state.in-memory", json!([])).await;
    trilby_testkit::eventually::eventually("the new store is there", async || {
        save(&daprd, "late", "v").await
    })
    .await;

    scene
        .component("scratch", "state.no-such-thing", json!([]))
        .await;
    shows_error(&daprd, "scratch", "state.no-such-thing").await;
    assert_eq!(
        read(&daprd, "scratch").await.unwrap(),
        "\"v\"",
        "the old one still serves"
    );

    scene
        .mesh
        .kube()
        .kubectl(&["delete", "component", "late", "-n", &scene.namespace])
        .await;
    trilby_testkit::eventually::eventually("the store is gone", async || {
        match save(&daprd, "late", "v").await {
            Err(error) if error.contains("ERR_STATE_STORE_NOT_FOUND") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_component_is_said_and_heals() {
    let mut scene = Scene::without_operator().await;
    scene
        .component("odd", "state.no-such-thing", json!([]))
        .await;
    scene.component("empty", "state.redis", json!([])).await;
    scene.redis_component().await; // without its Secret
    scene.operator.start().await;
    let daprd = scene.sidecar_with_broken_components("a").await;
    shows_error(&daprd, "odd", "state.no-such-thing").await;
    shows_error(&daprd, "empty", "redisHost").await;
    shows_error(&daprd, "store", "redis").await;
    assert!(save(&daprd, "store", "v").await.is_err());

    scene.secret(PASSWORD).await;
    trilby_testkit::eventually::within(
        Duration::from_secs(120),
        "the Secret heals the store",
        async || save(&daprd, "store", "v").await,
    )
    .await;
}

#[tokio::test]
async fn redis_may_be_away_at_start_and_later() {
    let mut scene = Scene::start().await;
    scene.secret(PASSWORD).await;
    scene.redis.stop().await;
    scene.redis_component().await;
    let mut daprd = scene
        .mesh
        .daprd(&scene.namespace, "a", &scene.operator)
        .await;
    daprd.launch();
    daprd
        .log()
        .wait_for(&scene.redis.address().to_string())
        .await;
    scene.redis.resume().await;
    daprd.healthy().await;
    let saved = async || save(&daprd, "store", "v").await;
    trilby_testkit::eventually::eventually("it is used once it is there", saved).await;

    scene.redis.stop().await;
    let error = save(&daprd, "store", "v").await.unwrap_err();
    assert!(error.contains("ERR_STATE_SAVE"), "{error}");
    scene.redis.resume().await;
    let saved = async || save(&daprd, "store", "v").await;
    trilby_testkit::eventually::eventually("it is used again", saved).await;
}

#[tokio::test]
async fn operator_and_sentry_may_be_away_at_start_and_later() {
    let mut scene = Scene::start().await;
    scene
        .component("scratch", "state.in-memory", json!([]))
        .await;
    scene.operator.stop().await;
    let mut daprd = scene
        .mesh
        .daprd(&scene.namespace, "a", &scene.operator)
        .await;
    daprd.launch();
    daprd
        .log()
        .wait_for(&scene.operator.grpc_address().to_string())
        .await;
    assert!(!daprd.is_healthy().await, "it has no components");
    scene.operator.start().await;
    daprd.healthy().await;
    saves(&daprd, "scratch", "v").await;

    scene.operator.stop().await;
    scene.mesh.sentry.stop().await;
    save(&daprd, "scratch", "v")
        .await
        .expect("a running sidecar needs neither");
    scene.mesh.sentry.start().await;
    scene.operator.start().await;
    scene.component("late", "state.in-memory", json!([])).await;
    let late = async || save(&daprd, "late", "v").await;
    trilby_testkit::eventually::within(
        Duration::from_secs(120),
        "it follows the operator again",
        late,
    )
    .await;
}
