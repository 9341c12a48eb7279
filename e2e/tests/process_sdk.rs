//! The official SDKs as clients of our sidecar: each waits for it, reads and writes metadata, keeps state, and invokes
//! another app; and each uses stores: bulk, transactions, etags and queries of state, secrets, settings that change, locks.

use std::collections::BTreeMap;

use trilby_e2e::sdk::{self, Seen};
use trilby_e2e::sidecars::Sidecars;
use trilby_e2e::stores::Stores;

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

/// `conflict`, and what an unlock says of a lock of others and of one that is not there, are in the SDK's own words.
async fn uses_stores(language: &str, conflict: &str, [other, absent]: [&str; 2]) {
    let stores = Stores::start().await.expect("the servers start");
    let seen = sdk::use_stores(&stores, language).await;
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}"));
    let unlocked = format!("{other},SUCCESS,{absent}");
    let expected = [
        ("queried", "a"),
        ("conflict", conflict),
        ("bulk", r#"a={"n":3},b=,c="c""#),
        ("secret", "one"),
        ("secrets", "first,second"),
        ("setting", "blue 1"),
        ("changed", "green"),
        ("ended", "true"),
        ("locked", "true,false"),
        ("unlocked", &unlocked),
    ];
    let expected = expected.map(|(about, words)| (about.to_owned(), words.to_owned()));
    // A word may be in any case.
    let seen = seen.into_iter().map(|(about, words)| match &*about {
        "unlocked" => (about, words.to_uppercase()),
        _ => (about, words),
    });
    assert_eq!(seen.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}

#[tokio::test]
async fn python_uses_stores() {
    let words = ["LOCK_BELONGS_TO_OTHERS", "LOCK_DOES_NOT_EXIST"];
    uses_stores("python", "ABORTED", words).await;
}

#[tokio::test]
async fn go_uses_stores() {
    let words = ["LOCK_BELONGS_TO_OTHERS", "LOCK_DOES_NOT_EXIST"];
    uses_stores("go", "Aborted", words).await;
}

#[tokio::test]
async fn javascript_uses_stores() {
    let words = ["LOCK_BELONGS_TO_OTHERS", "LOCK_DOES_NOT_EXIST"];
    uses_stores("javascript", "ERR_STATE_SAVE", words).await;
}

#[tokio::test]
async fn java_uses_stores() {
    let words = ["LOCK_BELONG_TO_OTHERS", "LOCK_UNEXIST"];
    uses_stores("java", "ABORTED", words).await;
}
