//! The official SDKs as clients of our sidecar: each waits for it, reads and writes metadata, keeps state, and invokes
//! another app.

use trilby_e2e::sdk::{self, Seen};
use trilby_e2e::sidecars::Sidecars;

async fn sees(language: &str) -> Seen {
    let sidecars = Sidecars::start(&[]).await.expect("the sidecars start");
    let seen = sdk::run(&sidecars, language).await;
    seen.unwrap_or_else(|error| panic!("{error:#}"))
}

fn everything(note: Option<&str>) -> Seen {
    Seen {
        id: "caller".to_owned(),
        note: note.map(str::to_owned),
        saved: "hello".to_owned(),
        deleted: String::new(),
        answer: "POST /orders/7 {\"n\":1}".to_owned(),
    }
}

#[tokio::test]
async fn python_is_served() {
    assert_eq!(sees("python").await, everything(Some("python")));
}

#[tokio::test]
async fn go_is_served() {
    assert_eq!(sees("go").await, everything(Some("go")));
}

#[tokio::test]
async fn javascript_is_served() {
    assert_eq!(sees("javascript").await, everything(Some("javascript")));
}

/// Its SDK cannot write metadata.
#[tokio::test]
async fn java_is_served() {
    assert_eq!(sees("java").await, everything(None));
}
