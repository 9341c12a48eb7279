//! The official SDKs as clients of our sidecar: each waits for it, reads and writes metadata, keeps state, and invokes
//! another app.

use trilby_e2e::sdk::{Scene, Seen};

async fn a_client_of_the_sdk_is_served(language: &str) {
    let scene = Scene::start().await.expect("the sidecars start");
    let expected = Seen {
        id: "caller".to_owned(),
        note: language.to_owned(),
        saved: "hello".to_owned(),
        deleted: String::new(),
        answer: "POST /orders/7 {\"n\":1}".to_owned(),
    };
    let seen = scene.run(language).await;
    assert_eq!(seen.unwrap_or_else(|error| panic!("{error:#}")), expected);
}

#[tokio::test]
async fn python_is_served() {
    a_client_of_the_sdk_is_served("python").await;
}

#[tokio::test]
async fn go_is_served() {
    a_client_of_the_sdk_is_served("go").await;
}
