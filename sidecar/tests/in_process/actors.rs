//! Actors: two replicas of one application host them, another application calls them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{any, get};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use trilby_testkit::assert_eventually;

use crate::placement::Placement;
use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n  metadata:\n  - name: actorStateStore\n    value: 'true'\n";

/// An application that hosts `counter` and answers with its own name.
async fn host(name: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let method = move |Path((_, method)): Path<(String, String)>| async move {
        match method.as_str() {
            "fail" => (StatusCode::BAD_GATEWAY, "broken".to_owned()),
            _ => (StatusCode::OK, name.to_owned()),
        }
    };
    let router = Router::new()
        .route(
            "/dapr/config",
            get(|| async { axum::Json(json!({ "entities": ["counter"] })) }),
        )
        .route("/actors/counter/{id}/method/{method}", any(method))
        .route("/actors/counter/{id}", any(|| async { StatusCode::OK }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

struct World {
    caller: Sidecar,
    replicas: Vec<Sidecar>,
    _folder: tempfile::TempDir,
    _placement: Placement,
}

async fn world() -> World {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let placement = Placement::start(&sentry).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.yaml"), STORE).unwrap();
    let flag = placement.flag();
    let mut replicas = Vec::new();
    for name in ["one", "two"] {
        let settings = Settings::new("b")
            .app(host(name).await)
            .sentry(&sentry)
            .resources(folder.path());
        replicas.push(Sidecar::start(settings.flags(&[&flag]), &directory).await);
    }
    let caller = Sidecar::start(
        Settings::new("a").sentry(&sentry).flags(&[&flag]),
        &directory,
    )
    .await;
    World {
        caller,
        replicas,
        _folder: folder,
        _placement: placement,
    }
}

impl World {
    /// Who serves an actor.
    async fn owner(&self, id: usize) -> String {
        let response = self
            .caller
            .post(&format!("/v1.0/actors/counter/{id}/method/who"), "")
            .await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.text());
        response.text()
    }

    /// Who serves each of some actors, once the caller knows of both replicas.
    async fn owners(&self) -> BTreeMap<usize, String> {
        assert_eventually!({
            let mut seen = std::collections::BTreeSet::new();
            for id in 0..20 {
                seen.insert(self.owner(id).await);
            }
            seen.len() == 2
        });
        let mut owners = BTreeMap::new();
        for id in 0..50 {
            owners.insert(id, self.owner(id).await);
        }
        owners
    }
}

#[tokio::test]
async fn every_actor_has_one_owner_and_moves_when_that_ends() {
    let world = world().await;
    let before = world.owners().await;
    for (id, owner) in &before {
        assert_eq!(world.owner(*id).await, *owner);
    }
    let pieces: Vec<_> = world.caller.process.scrape().collect();
    let scrape = String::from_utf8(pieces.concat()).unwrap();
    let counted = "dapr_grpc_io_client_completed_rpcs{app_id=\"a\",\
                   grpc_client_method=\"/dapr.proto.internals.v1.ServiceInvocation/CallActor\",grpc_client_status=\"OK\"}";
    assert!(scrape.contains(counted), "{scrape}");
    assert!(
        before.values().any(|owner| owner == "one") && before.values().any(|owner| owner == "two")
    );
    world.replicas[0]
        .process
        .stop(Duration::from_secs(10))
        .await
        .unwrap();
    for id in before.keys() {
        assert_eq!(world.owner(*id).await, "two");
    }
}

#[tokio::test]
async fn state_belongs_to_an_active_actor() {
    let world = world().await;
    let owners = world.owners().await;
    let (id, _) = owners.iter().find(|(_, owner)| *owner == "one").unwrap();
    let host = &world.replicas[0];
    let path = format!("/v1.0/actors/counter/{id}/state");
    let body = json!([{ "operation": "upsert", "request": { "key": "n", "value": { "x": 7 } } }])
        .to_string();
    let saved = host.post(&path, &body).await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    assert_eq!(host.get(&format!("{path}/n")).await.text(), r#"{"x":7}"#);
    assert_eq!(
        host.get(&format!("{path}/absent")).await.status,
        StatusCode::NO_CONTENT
    );
    let inactive = host
        .post("/v1.0/actors/counter/never-called/state", &body)
        .await;
    assert_eq!(inactive.status, StatusCode::BAD_REQUEST);
    assert_eq!(inactive.json()["errorCode"], "ERR_ACTOR_INSTANCE_MISSING");
}

#[tokio::test]
async fn failures_of_actors_say_why() {
    let world = world().await;
    world.owners().await;
    let broken = world
        .caller
        .post("/v1.0/actors/counter/1/method/fail", "")
        .await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(broken.json()["errorCode"], "ERR_ACTOR_INVOKE_METHOD");
    assert!(
        broken.json()["message"]
            .as_str()
            .unwrap()
            .contains("broken"),
        "{}",
        broken.text()
    );
    let reserved = world
        .caller
        .get("/v1.0/actors/dapr.internal.x/1/state/k")
        .await;
    assert_eq!(
        (reserved.status, &reserved.json()["errorCode"]),
        (StatusCode::FORBIDDEN, &json!("ERR_ACTOR_TYPE_RESERVED"))
    );
    let bad_id = world
        .caller
        .post("/v1.0/actors/counter/a%2Fb/method/m", "")
        .await;
    assert_eq!(
        (bad_id.status, &bad_id.json()["errorCode"]),
        (StatusCode::BAD_REQUEST, &json!("ERR_BAD_REQUEST"))
    );
    let reminder = world.replicas[0]
        .post("/v1.0/actors/counter/1/reminders/r", "{}")
        .await;
    assert!(
        reminder.json()["message"]
            .as_str()
            .unwrap()
            .contains("scheduler"),
        "{}",
        reminder.text()
    );
}

#[tokio::test]
async fn metadata_shows_the_actor_runtime() {
    let world = world().await;
    world.owners().await;
    let runtime = &world.replicas[0].get("/v1.0/metadata").await.json()["actorRuntime"];
    assert_eq!(runtime["runtimeStatus"], "RUNNING");
    assert_eq!(runtime["placement"], "placement: connected");
    assert_eq!(runtime["activeActors"][0]["type"], "counter");
}

#[tokio::test]
async fn without_placement_actors_say_so() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    let response = a.post("/v1.0/actors/counter/1/method/m", "").await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        response.json(),
        json!({ "errorCode": "ERR_ACTOR_NO_PLACEMENT", "message": "placement service is not configured" })
    );
}

#[tokio::test]
async fn placement_that_is_away_is_what_health_misses() {
    let sentry = Sentry::start().await;
    let settings = Settings::new("a")
        .sentry(&sentry)
        .flags(&["--placement-host-address=127.0.0.1:1"]);
    let a = Sidecar::start(settings, &Directory::default()).await;
    let health = a.get("/v1.0/healthz").await;
    assert_eq!(health.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        health.text().contains("internal-placement-service"),
        "{}",
        health.text()
    );
    assert_eq!(
        a.get("/v1.0/healthz/outbound").await.status,
        StatusCode::NO_CONTENT
    );
}
