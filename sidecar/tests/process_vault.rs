//! The real binary with secrets in a real OpenBao.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use http::StatusCode;
use serde_json::{Value, json};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetBulkSecretRequest, GetSecretRequest};
use trilby_testkit::assert_eventually;
use trilby_testkit::eventually::eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::servers::{redis::Redis, vault::Vault};
use trilby_testkit::services::Daprd;

/// A sidecar with a secret store, and with a state store whose password lies there.
struct World {
    vault: Vault,
    token: String,
    daprd: Daprd,
    _redis: Redis,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let (vault, redis) = (Vault::start().await, Redis::with_password("hunter2").await);
        vault
            .put("dapr/redis", &json!({"password": "hunter2"}))
            .await;
        vault.put("dapr/team/db", &json!({"port": 5432})).await;
        let what = json!({"policies": ["root"], "period": "20s"});
        let token = vault.token(&what).await;
        let folder = tempfile::tempdir().unwrap();
        let state_store = state_store(&redis);
        let mut world = Self {
            token,
            daprd: Daprd::new("shop").arg("--resources-path", folder.path().display()),
            vault,
            folder,
            _redis: redis,
        };
        world.component("store.yaml", &state_store);
        world.secret_store("dapr");
        world.daprd.start().await;
        world
    }

    fn component(&self, name: &str, component: &Value) {
        std::fs::write(self.folder.path().join(name), component.to_string()).unwrap();
    }

    /// (Re-)places the component of the secret store.
    fn secret_store(&self, prefix: &str) {
        let address = format!("http://{}", self.vault.address());
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": { "name": "vault" },
            "spec": { "type": "secretstores.hashicorp.vault", "version": "v1", "metadata": [
                { "name": "vaultAddr", "value": address },
                { "name": "vaultToken", "value": self.token },
                { "name": "vaultKVPrefix", "value": prefix },
            ] },
        });
        self.component("vault.yaml", &component);
    }

    async fn get(&self, path: &str) -> Response {
        Client::host().get(&self.daprd.url(path)).await.unwrap()
    }
}

fn state_store(redis: &Redis) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": { "name": "store" },
        "auth": { "secretStore": "vault" },
        "spec": { "type": "state.redis", "version": "v1", "metadata": [
            { "name": "redisHost", "value": redis.address().to_string() },
            { "name": "redisPassword", "secretKeyRef": { "name": "redis", "key": "password" } },
        ] },
    })
}

#[tokio::test]
async fn secrets_are_read_over_both_protocols_and_by_other_components() {
    let world = World::start().await;
    let db = world.get("/v1.0/secrets/vault/team%2Fdb").await;
    assert_eq!(db.json(), json!({ "port": "5432" }));
    let all = world.get("/v1.0/secrets/vault/bulk").await.json();
    let expected = json!({ "redis": { "password": "hunter2" }, "team/db": { "port": "5432" } });
    assert_eq!(all, expected);
    let none = world.get("/v1.0/secrets/vault/none").await;
    assert_eq!(none.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(none.json()["errorCode"], "ERR_SECRET_GET");
    let state = world.get("/v1.0/state/store/cart").await;
    assert_eq!(state.status, StatusCode::NO_CONTENT, "{}", state.text());
    let metadata = world.get("/v1.0/metadata").await.json();
    let components = metadata["components"].as_array().unwrap();
    let vault = components
        .iter()
        .find(|one| one["name"] == "vault")
        .unwrap();
    assert_eq!(
        vault["capabilities"],
        json!(["MULTIPLE_KEY_VALUES_PER_SECRET"])
    );

    world.vault.put("dapr/team/db", &json!({"port": 1})).await;
    let address = format!("http://{}", world.daprd.grpc_address());
    let mut client = DaprClient::connect(address).await.unwrap();
    for (version, port) in [("1", "5432"), ("2", "1")] {
        let request = GetSecretRequest {
            store_name: "vault".to_owned(),
            key: "team/db".to_owned(),
            metadata: [("version_id".to_owned(), version.to_owned())].into(),
        };
        let read = client.get_secret(request).await.unwrap().into_inner();
        assert_eq!(read.data["port"], port);
    }
    let request = GetBulkSecretRequest {
        store_name: "vault".to_owned(),
        metadata: [].into(),
    };
    let all = client.get_bulk_secret(request).await.unwrap().into_inner();
    assert_eq!(all.data["team/db"].secrets["port"], "1");
}

#[tokio::test]
async fn the_token_is_renewed_though_nobody_asks_for_secrets() {
    let world = World::start().await;
    let asked = json!({ "token": world.token }).to_string();
    eventually("the token is renewed", async || {
        let found = world
            .vault
            .succeed("POST", "auth/token/lookup", &asked)
            .await;
        match found["data"]["last_renewal_time"].as_u64() {
            Some(time) if time > 0 => Ok(()),
            _ => Err(found.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn another_prefix_is_taken_without_a_restart() {
    let world = World::start().await;
    world.vault.put("other/key", &json!({"a": "b"})).await;
    world.secret_store("other");
    assert_eventually!(world.get("/v1.0/secrets/vault/key").await.status == StatusCode::OK);
    let gone = world.get("/v1.0/secrets/vault/redis").await;
    assert_eq!(gone.status, StatusCode::INTERNAL_SERVER_ERROR);
}
