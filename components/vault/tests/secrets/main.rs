//! `secretstores.hashicorp.vault` on a real OpenBao.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod tls;
mod tokens;

use serde_json::json;
use trilby_components::{
    RequestMetadata,
    conformance::secret::{self as conformance, Held},
    metadata::Metadata,
    secret::{SecretError, SecretStore as _},
};
use trilby_components_vault::VaultSecrets;
use trilby_testkit::servers::vault::{ROOT_TOKEN, Vault};

/// A store on this server, as root unless told otherwise.
async fn store(vault: &Vault, more: &[(&str, &str)]) -> VaultSecrets {
    let address = format!("http://{}", vault.address());
    let mut pairs = vec![("vaultAddr", address.as_str())];
    if !more.iter().any(|(key, _)| key.starts_with("vaultToken")) {
        pairs.push(("vaultToken", ROOT_TOKEN));
    }
    pairs.extend_from_slice(more);
    let metadata = Metadata::new(pairs).unwrap();
    VaultSecrets::new(&metadata).await.unwrap()
}

fn of_version(version: &str) -> RequestMetadata {
    RequestMetadata::from([("version_id".to_owned(), version.to_owned())])
}

/// Puts secrets whose names have to be escaped below `dapr/` of this mount, in the form of this version of the engine.
async fn fill(vault: &Vault, place: &str, version: u8) -> Held {
    for (path, values) in [
        (
            "db",
            json!({"user": "u", "port": 5432, "tls": {"on": true}}),
        ),
        ("team/shop/db", json!({"user": "v"})),
        (
            "a%20b%3Fversion%3D1%23c%252f",
            json!({"key": "Schl\u{fc}ssel \"\\"}),
        ),
        ("empty", json!({})),
    ] {
        let body = match version {
            1 => values,
            _ => json!({ "data": values }),
        };
        let path = format!("{place}/dapr/{path}");
        vault.succeed("POST", &path, &body.to_string()).await;
    }
    Held::new(&[
        (
            "db",
            &[("user", "u"), ("port", "5432"), ("tls", r#"{"on":true}"#)],
        ),
        ("team/shop/db", &[("user", "v")]),
        ("a b?version=1#c%2f", &[("key", "Schl\u{fc}ssel \"\\")]),
        ("empty", &[]),
    ])
}

#[tokio::test]
async fn it_passes_the_suite() {
    let vault = Vault::start().await;
    let held = fill(&vault, "secret/data", 2).await;
    // Beside the prefix: of somebody else.
    vault.put("other", &json!({"not": "ours"})).await;
    conformance::run(&store(&vault, &[]).await, &held).await;
}

#[tokio::test]
async fn it_passes_the_suite_with_one_text_a_secret() {
    let vault = Vault::start().await;
    vault.put("dapr/db", &json!({"port": 5432})).await;
    vault.put("dapr/web", &json!({"a": "b"})).await;
    let store = store(&vault, &[("vaultValueType", "text")]).await;
    let held = Held::new(&[
        ("db", &[("db", r#"{"port":5432}"#)]),
        ("web", &[("web", r#"{"a":"b"}"#)]),
    ]);
    conformance::run(&store, &held).await;
    assert!(store.capabilities().is_empty());
}

/// Version 1 of the engine is found out, and can be told.
#[tokio::test]
async fn it_passes_the_suite_on_version_one_of_the_engine() {
    let vault = Vault::start().await;
    let mount = json!({"type": "kv", "options": {"version": "1"}}).to_string();
    vault.succeed("POST", "sys/mounts/old/kv", &mount).await;
    // Version 1 keeps no secret without values.
    let body = r#"{"empty": ""}"#;
    vault.succeed("POST", "old/kv/dapr/empty", body).await;
    for (path, body) in [
        ("db", r#"{"user": "u", "port": 5432}"#),
        ("team/db", r#"{"user": "v"}"#),
    ] {
        let path = format!("old/kv/dapr/{path}");
        vault.succeed("POST", &path, body).await;
    }
    let held = Held::new(&[
        ("db", &[("user", "u"), ("port", "5432")]),
        ("team/db", &[("user", "v")]),
        ("empty", &[("empty", "")]),
    ]);
    for version in ["auto", "1"] {
        let told = [("enginePath", "old/kv"), ("vaultKVVersion", version)];
        let store = store(&vault, &told).await;
        conformance::run(&store, &held).await;
        let refused = store.get("db", &of_version("2")).await;
        assert!(
            matches!(refused, Err(SecretError::InvalidRequest(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_request_may_ask_for_a_version() {
    let vault = Vault::start().await;
    for value in ["first", "second", "third"] {
        vault.put("dapr/a", &json!({"value": value})).await;
    }
    vault
        .succeed("POST", "secret/delete/dapr/a", r#"{"versions": [2]}"#)
        .await;
    let store = store(&vault, &[]).await;
    for (version, value) in [
        ("1", "first"),
        ("3", "third"),
        ("0", "third"),
        ("", "third"),
    ] {
        let read = store.get("a", &of_version(version)).await.unwrap();
        assert_eq!(read["value"], value);
    }
    for version in ["2", "4"] {
        let text = "getSecret a failed secret key or version not exist".to_owned();
        let read = store.get("a", &of_version(version)).await;
        assert_eq!(read, Err(SecretError::NotFound(text)), "{version}");
        // All at once, one that has no such version is left out.
        assert_eq!(store.bulk_get(&of_version(version)).await, Ok([].into()));
    }
    let refused = store.get("a", &of_version("1&list=true")).await;
    assert!(
        matches!(refused, Err(SecretError::InvalidRequest(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn no_name_leads_out_of_the_prefix() {
    let vault = Vault::start().await;
    vault.put("other", &json!({"not": "ours"})).await;
    let store = store(&vault, &[]).await;
    for name in ["../other", "a/../../other", "..", ""] {
        let read = store.get(name, &RequestMetadata::new()).await;
        assert!(
            matches!(read, Err(SecretError::InvalidRequest(_))),
            "{name}: {read:?}"
        );
    }
    let read = store.get("%2e%2e/other", &RequestMetadata::new()).await;
    assert!(matches!(read, Err(SecretError::NotFound(_))), "{read:?}");
}

#[tokio::test]
async fn without_a_prefix_secrets_lie_in_the_engine() {
    let vault = Vault::start().await;
    let store = store(&vault, &[("vaultKVUsePrefix", "false")]).await;
    assert_eq!(store.bulk_get(&RequestMetadata::new()).await, Ok([].into()));
    vault.put("a", &json!({"b": "c"})).await;
    conformance::run(&store, &Held::new(&[("a", &[("b", "c")])])).await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_from_a_secret_that_is_not() {
    let vault = Vault::start().await;
    let store = store(&vault, &[("enginePath", "nowhere")]).await;
    let read = store.get("a", &RequestMetadata::new()).await.unwrap_err();
    let text = read.to_string();
    assert!(
        text.contains("nowhere/data/dapr/a") && text.contains("404"),
        "{text}"
    );
    let all = store.bulk_get(&RequestMetadata::new()).await;
    assert!(matches!(all, Err(SecretError::NotFound(_))), "{all:?}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let mut vault = Vault::stopped();
    let store = store(&vault, &[]).await;
    let get = async || store.get("a", &RequestMetadata::new()).await;
    let away = get().await.unwrap_err();
    assert!(away.is_transient(), "{away}");
    for _ in 0..2 {
        vault.resume().await;
        vault.put("dapr/a", &json!({"b": "c"})).await;
        assert_eq!(get().await.unwrap()["b"], "c");
        vault.stop().await;
        let away = get().await.unwrap_err();
        assert!(away.is_transient(), "{away}");
    }
}
