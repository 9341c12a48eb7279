//! What a token may, and how long.

use serde_json::json;
use trilby_components::{
    RequestMetadata,
    secret::{SecretError, SecretStore as _},
};
use trilby_testkit::{eventually::eventually, servers::vault::Vault};

use crate::store;

/// Lets tokens with this policy read this path below `secret/data/`.
async fn allow(vault: &Vault, policy: &str, path: &str) {
    let rule = format!("path \"secret/data/{path}\" {{ capabilities = [\"read\"] }}");
    let body = json!({ "policy": rule }).to_string();
    let policy = format!("sys/policies/acl/{policy}");
    vault.succeed("POST", &policy, &body).await;
}

#[tokio::test]
async fn a_token_that_may_read_one_secret_reads_that_one() {
    let vault = Vault::start().await;
    allow(&vault, "one", "dapr/one").await;
    for name in ["one", "two"] {
        vault.put(&format!("dapr/{name}"), &json!({"a": "b"})).await;
    }
    let token = vault.token(&json!({"policies": ["one"]})).await;
    let store = store(&vault, &[("vaultToken", &token)]).await;
    let read = store.get("one", &RequestMetadata::new()).await;
    assert_eq!(read.unwrap()["a"], "b");
    let refused = store.get("two", &RequestMetadata::new()).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, SecretError::Forbidden(_)), "{text}");
    assert!(
        text.contains("secret/data/dapr/two") && text.contains("permission denied"),
        "{text}"
    );
    let all = store.bulk_get(&RequestMetadata::new()).await;
    assert!(matches!(all, Err(SecretError::Forbidden(_))), "{all:?}");
}

#[tokio::test]
async fn a_token_of_nobody_is_refused() {
    let vault = Vault::start().await;
    let store = store(&vault, &[("vaultToken", "nobody's")]).await;
    let refused = store.get("a", &RequestMetadata::new()).await;
    assert!(
        matches!(refused, Err(SecretError::Forbidden(_))),
        "{refused:?}"
    );
    // Upkeep has nothing to do, and ends.
    store.keep().await;
}

/// Upstream reads the file once.
#[tokio::test]
async fn a_token_that_is_replaced_in_its_file_is_taken_at_once() {
    let vault = Vault::start().await;
    vault.put("dapr/a", &json!({"b": "c"})).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let path = file.display().to_string();
    let token = async || vault.token(&json!({"policies": ["root"]})).await;
    std::fs::write(&file, token().await).unwrap();
    let store = store(&vault, &[("vaultTokenMountPath", &path)]).await;
    let get = async || store.get("a", &RequestMetadata::new()).await;
    assert_eq!(get().await.unwrap()["b"], "c");
    std::fs::write(&file, "revoked").unwrap();
    assert!(matches!(get().await, Err(SecretError::Forbidden(_))));
    std::fs::write(&file, token().await + "\n").unwrap();
    assert_eq!(get().await.unwrap()["b"], "c");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(get().await, Err(SecretError::Unavailable(_))));
}

/// Upstream renews none.
#[tokio::test]
async fn a_token_that_expires_is_renewed_in_time() {
    let vault = Vault::start().await;
    let token = vault
        .token(&json!({"policies": ["root"], "period": "20s"}))
        .await;
    let store = store(&vault, &[("vaultToken", &token)]).await;
    let asked = json!({ "token": token }).to_string();
    let renewed = eventually("the token is renewed", async || {
        let found = vault.succeed("POST", "auth/token/lookup", &asked).await;
        match found["data"]["last_renewal_time"].as_u64() {
            Some(time) if time > 0 => Ok(()),
            _ => Err(found.to_string()),
        }
    });
    tokio::select! {
        () = renewed => {}
        () = store.keep() => panic!("there is something to keep"),
    }
}
