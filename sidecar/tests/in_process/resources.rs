//! Resources that change while the sidecar runs.

use http::StatusCode;
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
