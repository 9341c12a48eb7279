//! On servers that no real one is like.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::{Router, http::Method, http::Uri, response::Redirect};

use super::*;

async fn store(address: SocketAddr) -> VaultSecrets {
    let address = format!("http://{address}");
    let metadata = Metadata::new([
        ("vaultAddr", address.as_str()),
        ("vaultToken", "t"),
        ("vaultKVVersion", "2"),
    ]);
    VaultSecrets::new(&metadata.unwrap()).await.unwrap()
}

/// Answers each method and path with a text.
async fn server(answer: fn(&str, &str) -> String) -> VaultSecrets {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |method: Method, uri: Uri| {
        let text = answer(method.as_str(), uri.path());
        std::future::ready(text)
    };
    let routes = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    store(address).await
}

async fn bulk(store: &VaultSecrets) -> Result<BTreeMap<String, Secret>, SecretError> {
    store.bulk_get(&RequestMetadata::new()).await
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let store = store(listener.local_addr().unwrap()).await;
    let read = store.get("a", &RequestMetadata::new()).await;
    let given_up = SecretError::Unavailable("couldn't get secret: no answer within 10s".into());
    assert_eq!(read, Err(given_up));
}

#[tokio::test]
async fn folders_without_end_are_given_up() {
    let store = server(|_, _| r#"{"data": {"keys": ["a/"]}}"#.to_owned()).await;
    let refused = bulk(&store).await.unwrap_err().to_string();
    assert!(refused.contains("folders more than 64 deep"), "{refused}");
}

#[tokio::test]
async fn more_names_than_can_be_read_are_refused() {
    let many = |_: &str, _: &str| {
        let names: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
        serde_json::json!({ "data": { "keys": names } }).to_string()
    };
    let refused = bulk(&server(many).await).await.unwrap_err().to_string();
    assert!(refused.contains("more than 20000 names"), "{refused}");
}

#[tokio::test]
async fn more_than_can_be_held_is_refused() {
    let large = |method: &str, _: &str| match method {
        "LIST" => r#"{"data": {"keys": ["a", "b", "c", "d", "e", "f", "g", "h"]}}"#.to_owned(),
        _ => {
            let value = "x".repeat(10 << 20);
            serde_json::json!({ "data": { "data": { "large": value } } }).to_string()
        }
    };
    let refused = bulk(&server(large).await).await.unwrap_err().to_string();
    assert!(
        refused.contains("have more than 67108864 bytes"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_is_no_secret_is_not_repeated() {
    let store = server(|_, _| r#"{"data": {"data": "hush"}}"#.to_owned()).await;
    let refused = store.get("a", &RequestMetadata::new()).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("secret/data/dapr/a") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test]
async fn a_standby_server_leads_to_the_active_one() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let active = axum::routing::get(|| async { r#"{"data": {"data": {"a": "b"}}}"# });
    let routes = Router::new()
        .route("/active/v1/secret/data/dapr/a", active)
        .fallback(|uri: Uri| async move {
            let there = uri.path_and_query().unwrap().as_str();
            match there.starts_with("/v1/secret/data/dapr/loop") {
                true => Redirect::temporary(there),
                false => Redirect::temporary(&format!("/active{there}")),
            }
        });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let store = store(address).await;
    let read = store.get("a", &RequestMetadata::new()).await;
    assert_eq!(read.unwrap()["a"], "b");
    let read = store.get("loop", &RequestMetadata::new()).await;
    let text = read.unwrap_err().to_string();
    assert_eq!(text, "couldn't get secret: stopped after 3 redirects");
}
