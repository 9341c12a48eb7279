//! The secrets API, on a store of the test's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::json;
use trilby_components::RequestMetadata;
use trilby_components::registry::{Backend, Registry};
use trilby_components::secret::{Secret, SecretError, SecretStore};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetBulkSecretRequest, GetSecretRequest};
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};

const RESOURCES: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: vault\nspec:\n  \
                         type: secretstores.test\n  version: v1\n";
const CONFIGURATION: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  \
                             secrets:\n    scopes:\n    - storeName: vault\n      deniedSecrets: [hidden]\n";

struct Vault;

fn secret(value: &str) -> Secret {
    [("key".to_owned(), value.to_owned())].into()
}

#[async_trait]
impl SecretStore for Vault {
    async fn get(&self, name: &str, _: &RequestMetadata) -> Result<Secret, SecretError> {
        match name {
            "absent" => Err(SecretError::NotFound("no such secret".to_owned())),
            name => Ok(secret(name)),
        }
    }

    async fn bulk_get(&self, _: &RequestMetadata) -> Result<BTreeMap<String, Secret>, SecretError> {
        Ok([
            ("open".to_owned(), secret("1")),
            ("hidden".to_owned(), secret("2")),
        ]
        .into())
    }
}

async fn sidecar() -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("resources")).unwrap();
    std::fs::write(folder.path().join("resources/vault.yaml"), RESOURCES).unwrap();
    std::fs::write(folder.path().join("config.yaml"), CONFIGURATION).unwrap();
    let backend = Backend::secret_store("test", |_, _| async {
        Ok(Arc::new(Vault) as Arc<dyn SecretStore>)
    });
    let resources = folder.path().join("resources");
    let flag = format!("--config={}", folder.path().join("config.yaml").display());
    let settings = Settings::new("a").resources(&resources).flags(&[&flag]);
    let settings = settings.registry(Registry::in_memory().with(vec![backend]));
    (
        Sidecar::start(settings, &Directory::default()).await,
        folder,
    )
}

#[tokio::test]
async fn secrets_are_read_one_by_one_or_together() {
    let (a, _folder) = sidecar().await;
    assert_eq!(
        a.get("/v1.0/secrets/vault/open").await.json(),
        json!({ "key": "open" })
    );
    assert_eq!(
        a.get("/v1.0/secrets/vault/bulk").await.json(),
        json!({ "open": { "key": "1" } })
    );
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: a.grpc.port(),
    };
    let mut dapr =
        DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap());
    let one = GetSecretRequest {
        store_name: "vault".into(),
        key: "open".into(),
        ..Default::default()
    };
    assert_eq!(
        dapr.get_secret(one).await.unwrap().into_inner().data["key"],
        "open"
    );
    let all = GetBulkSecretRequest {
        store_name: "vault".into(),
        ..Default::default()
    };
    let all = dapr.get_bulk_secret(all).await.unwrap().into_inner().data;
    assert_eq!((all.len(), all["open"].secrets["key"].as_str()), (1, "1"));
}

#[tokio::test]
async fn secrets_that_cannot_be_read_say_why() {
    let (a, _folder) = sidecar().await;
    for (path, status, code, text) in [
        (
            "vault/hidden",
            403,
            "ERR_PERMISSION_DENIED",
            "access denied by policy to get \"hidden\" from \"vault\"",
        ),
        (
            "vault/absent",
            500,
            "ERR_SECRET_GET",
            "failed getting secret with key absent from secret store vault: no such secret",
        ),
        (
            "other/x",
            401,
            "ERR_SECRET_STORE_NOT_FOUND",
            "failed finding secret store with key other",
        ),
    ] {
        let response = a.get(&format!("/v1.0/secrets/{path}")).await;
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(
            response.json(),
            json!({ "errorCode": code, "message": text })
        );
    }
    let none = Sidecar::start(Settings::new("b"), &Directory::default()).await;
    let response = none.get("/v1.0/secrets/vault/x").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        response.json()["errorCode"],
        "ERR_SECRET_STORES_NOT_CONFIGURED"
    );
}

#[tokio::test]
async fn changed_scopes_are_in_force_and_those_that_cannot_be_are_not() {
    let (a, folder) = sidecar().await;
    let statuses = async || {
        let (open, hidden) = (
            a.get("/v1.0/secrets/vault/open").await,
            a.get("/v1.0/secrets/vault/hidden").await,
        );
        (open.status.as_u16(), hidden.status.as_u16())
    };
    assert_eq!(statuses().await, (200, 403));
    // Whether the second part is in force shows that the first was read.
    let broken = CONFIGURATION.replace("deniedSecrets: [hidden]", "defaultAccess: maybe")
        + "  api:\n    denied: [{name: metadata, version: v1}]\n";
    change(folder.path(), &broken);
    assert_eventually!(a.get("/v1.0/metadata").await.status == StatusCode::NOT_FOUND);
    assert_eq!(statuses().await, (200, 403));
    change(
        folder.path(),
        &CONFIGURATION.replace("deniedSecrets", "allowedSecrets"),
    );
    assert_eventually!(statuses().await == (403, 200));
}

/// Replaces the Configuration whole, so that no half of it is read.
fn change(folder: &Path, configuration: &str) {
    let new = folder.join("config.new");
    std::fs::write(&new, configuration).unwrap();
    std::fs::rename(new, folder.join("config.yaml")).unwrap();
}
