//! Resources that change while the sidecar runs.

use http::StatusCode;
use serde_json::json;
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};

fn component(name: &str, kind: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  version: v1\n"
    )
}

#[tokio::test]
async fn store_that_appears_serves_and_one_that_disappears_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let a = Sidecar::start(
        Settings::new("a").resources(folder.path()),
        &Directory::default(),
    )
    .await;
    let path = folder.path().join("store.yaml");
    std::fs::write(&path, component("store", "state.in-memory")).unwrap();
    assert_eventually!(
        a.post("/v1.0/state/store", r#"[{"key":"k","value":1}]"#)
            .await
            .status
            == StatusCode::NO_CONTENT
    );
    std::fs::remove_file(&path).unwrap();
    assert_eventually!(
        a.get("/v1.0/state/store/k").await.status == StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn broken_component_leaves_the_sidecar_up_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.yaml"),
        component("bad", "state.in-memroy"),
    )
    .unwrap();
    let a = Sidecar::launch(
        Settings::new("a").resources(folder.path()),
        &Directory::default(),
    )
    .await;
    assert_eventually!(
        a.get("/v1.0/metadata").await.json()["extended"]["component.bad.error"]
            .as_str()
            .is_some_and(|error| error.contains("state.in-memroy"))
    );
}

#[tokio::test]
async fn metadata_names_the_resources_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let object = |kind: &str, spec: &str| {
        format!(
            "apiVersion: dapr.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: one\nspec: {spec}\n---\n"
        )
    };
    let all = [
        object("HTTPEndpoint", "{baseUrl: 'http://x'}"),
        object("Resiliency", "{}"),
        object("MCPServer", "{endpoint: {sse: {url: 'http://m'}}}"),
        object("WorkflowAccessPolicy", "{}"),
        object(
            "Subscription",
            "{pubsubname: bus, topic: t, route: /r, metadata: {a: b}}",
        ),
        "kind: [".to_owned(),
    ];
    std::fs::write(folder.path().join("all.yaml"), all.concat()).unwrap();
    let a = Sidecar::start(
        Settings::new("a").resources(folder.path()),
        &Directory::default(),
    )
    .await;
    let metadata = a.get("/v1.0/metadata").await.json();
    for list in [
        "httpEndpoints",
        "resiliencies",
        "mcpServers",
        "workflowAccessPolicies",
    ] {
        assert_eq!(metadata[list], json!([{"name": "one"}]), "{list}");
    }
    assert_eq!(
        metadata["subscriptions"],
        json!([{
            "pubsubname": "bus", "topic": "t", "metadata": {"a": "b"}, "rules": [{"path": "/r"}],
            "deadLetterTopic": "", "type": "DECLARATIVE",
        }])
    );
    let problem = format!("file.{}#6.error", folder.path().join("all.yaml").display());
    assert!(metadata["extended"][&problem].is_string(), "{metadata}");
}

#[tokio::test]
async fn component_that_fails_at_the_start_keeps_the_sidecar_from_being_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    std::fs::write(&path, component("bad", "state.in-memroy")).unwrap();
    let a = Sidecar::launch(
        Settings::new("a").resources(folder.path()),
        &Directory::default(),
    )
    .await;
    assert_eventually!(
        a.get("/v1.0/healthz")
            .await
            .text()
            .contains("components: bad: [CREATE_COMPONENT_FAILURE]")
    );
    assert_eq!(a.get("/v1.0/metadata").await.json().get("components"), None);
    std::fs::write(&path, component("bad", "state.in-memory")).unwrap();
    assert_eventually!(a.get("/v1.0/healthz").await.status == StatusCode::NO_CONTENT);
}
