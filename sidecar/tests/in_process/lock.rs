//! The lock API, on locks in memory and on a store that fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::StatusCode;
use serde_json::json;
use tonic::Code;
use trilby_components::lock::{Claim, LockError, LockStore, Release};
use trilby_components::registry::{Backend, Registry};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{TryLockRequest, UnlockRequest};
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};

fn component(name: &str, type_name: &str, metadata: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: {type_name}\n  \
         version: v1\n{metadata}\n---\n"
    )
}

/// Answers nothing the first time, and keeps what it was asked for.
#[derive(Default)]
struct Failing {
    asked: AtomicUsize,
}

#[async_trait]
impl LockStore for Failing {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => Err(LockError::Unavailable(format!(
                "no answer for {}",
                claim.resource
            ))),
            _ => Ok(true),
        }
    }

    async fn unlock(&self, resource: &str, _: &str) -> Result<Release, LockError> {
        Err(LockError::Unavailable(format!("no answer for {resource}")))
    }
}

fn write(folder: &Path, resources: &str) {
    let new = folder.join("resources.new");
    std::fs::write(&new, resources).unwrap();
    std::fs::rename(new, folder.join("resources.yaml")).unwrap();
}

async fn sidecar(resources: &str) -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), resources);
    let backend = Backend::lock("failing", async |_, _| {
        Ok(Arc::new(Failing::default()) as Arc<dyn LockStore>)
    });
    let settings = Settings::new("a").resources(folder.path());
    let settings = settings.registry(Registry::in_memory().with(vec![backend]));
    (
        Sidecar::start(settings, &Directory::default()).await,
        folder,
    )
}

fn client(sidecar: &Sidecar) -> DaprClient<trilby_grpc::Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: sidecar.grpc.port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

fn try_lock(store: &str, owner: &str) -> TryLockRequest {
    TryLockRequest {
        store_name: store.into(),
        resource_id: "r".into(),
        lock_owner: owner.into(),
        expiry_in_seconds: 1_000,
    }
}

fn unlock(store: &str, owner: &str) -> UnlockRequest {
    UnlockRequest {
        store_name: store.into(),
        resource_id: "r".into(),
        lock_owner: owner.into(),
    }
}

async fn taken(a: &Sidecar, store: &str, owner: &str) -> bool {
    let body = json!({"resourceId": "r", "lockOwner": owner, "expiryInSeconds": 1_000});
    let path = format!("/v1.0-alpha1/lock/{store}");
    let answer = a.post(&path, &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["success"].as_bool().unwrap()
}

#[tokio::test]
async fn both_protocols_share_locks() {
    let (a, _folder) = sidecar(&component("locks", "lock.in-memory", "")).await;
    let mut dapr = client(&a);
    assert!(taken(&a, "locks", "http").await);
    let refused = dapr.try_lock_alpha1(try_lock("locks", "grpc")).await;
    assert!(!refused.unwrap().into_inner().success);
    let foreign = dapr.unlock_alpha1(unlock("locks", "grpc")).await;
    assert_eq!(foreign.unwrap().into_inner().status, 2);
    let answer = async |owner: &str| {
        let body = format!(r#"{{"resource_id":"r","lock_owner":"{owner}","unknown":1}}"#);
        let answer = a.post("/v1.0-alpha1/unlock/locks", &body).await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!(answer("grpc").await, (200, r#"{"status":2}"#.to_owned()));
    assert_eq!(answer("http").await, (200, r#"{"status":0}"#.to_owned()));
    assert_eq!(answer("http").await, (200, r#"{"status":1}"#.to_owned()));
    let given = dapr.try_lock_alpha1(try_lock("locks", "grpc")).await;
    assert!(given.unwrap().into_inner().success);
    assert!(!taken(&a, "locks", "http").await);
    let released = dapr.unlock_alpha1(unlock("locks", "grpc")).await;
    assert_eq!(released.unwrap().into_inner().status, 0);
    let absent = dapr.unlock_alpha1(unlock("locks", "grpc")).await;
    assert_eq!(absent.unwrap().into_inner().status, 1);
}

/// Path, body, status, code and text.
type Refusal = (&'static str, &'static str, u16, &'static str, &'static str);

const MALFORMED: &str = "ERR_MALFORMED_REQUEST";
const UNKNOWN: &str = "ERR_LOCK_STORE_NOT_FOUND";
const NO_TIME: &str = "ExpiryInSeconds is not positive in lock store locks";
const NO_RESOURCE: &str = "ResourceId is empty in lock store locks";
const ILLEGAL: &str = r#"{"expiryInSeconds":1,"resourceId":"a||b","lockOwner":"o"}"#;

#[rustfmt::skip]
const REFUSALS: [Refusal; 10] = [
    ("lock/locks", "", 400, MALFORMED, NO_TIME),
    ("lock/locks", r#"{"expiryInSeconds":-1}"#, 400, MALFORMED, NO_TIME),
    ("lock/locks", r#"{"expiryInSeconds":1}"#, 400, MALFORMED, NO_RESOURCE),
    ("lock/none", r#"{"expiryInSeconds":1,"resourceId":"r"}"#, 400, MALFORMED, "LockOwner is empty in lock store none"),
    ("lock/none", r#"{"expiryInSeconds":1,"resourceId":"r","lockOwner":"o"}"#, 400, UNKNOWN, "lock store none not found"),
    ("lock/locks", ILLEGAL, 500, "ERR_TRY_LOCK", "failed to try acquiring lock: input key/keyPrefix 'a||b' can't contain '||'"),
    ("unlock/locks", "", 400, MALFORMED, NO_RESOURCE),
    ("unlock/locks", r#"{"resourceId":"r"}"#, 400, MALFORMED, "LockOwner is empty in lock store locks"),
    ("unlock/none", r#"{"resourceId":"r","lockOwner":"o"}"#, 400, UNKNOWN, "lock store none not found"),
    ("unlock/locks", ILLEGAL, 500, "ERR_UNLOCK", "failed to release lock: input key/keyPrefix 'a||b' can't contain '||'"),
];

#[tokio::test]
async fn requests_that_say_too_little_are_told_what() {
    let (a, _folder) = sidecar(&component("locks", "lock.in-memory", "")).await;
    for (path, body, status, code, text) in REFUSALS {
        let answer = a.post(&format!("/v1.0-alpha1/{path}"), body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}");
        assert_eq!(answer.json(), json!({"errorCode": code, "message": text}));
    }
    let malformed = a
        .post("/v1.0-alpha1/lock/locks", r#"{"lockOwner":1}"#)
        .await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    let text = malformed.json()["message"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("failed deserializing HTTP body: "),
        "{text}"
    );
    let status = client(&a).unlock_alpha1(unlock("locks", "")).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "LockOwner is empty in lock store locks");
}

#[tokio::test]
async fn without_any_store_that_is_said_first() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    let answer = a.post("/v1.0-alpha1/unlock/locks", "").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.json(),
        json!({"errorCode": "ERR_LOCK_STORE_NOT_CONFIGURED", "message": "lock store is not configured"})
    );
    let status = client(&a).try_lock_alpha1(try_lock("locks", "o")).await;
    assert_eq!(status.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn what_is_not_answered_is_an_error_and_may_be_tried_again() {
    let failing = component("locks", "lock.failing", "");
    let (a, folder) = sidecar(&failing).await;
    let mut dapr = client(&a);
    let unanswered = dapr.try_lock_alpha1(try_lock("locks", "o")).await;
    let unanswered = unanswered.unwrap_err();
    assert_eq!(unanswered.code(), Code::Internal);
    assert_eq!(
        unanswered.message(),
        "failed to try acquiring lock: no answer for lock||a||r"
    );
    let body = r#"{"resourceId":"r","lockOwner":"o"}"#;
    let unanswered = a.post("/v1.0-alpha1/unlock/locks", body).await;
    assert_eq!(unanswered.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        unanswered.json(),
        json!({"errorCode": "ERR_UNLOCK", "message": "failed to release lock: no answer for lock||a||r"})
    );
    // Another instance, which fails at first as well, under a policy.
    let policy = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: r\nspec:\n  policies:\n    \
                  retries:\n      soon: {policy: constant, duration: 1ms, maxRetries: 3}\n  targets:\n    components:\n      \
                  other:\n        outbound: {retry: soon}\n";
    let other = component("other", "lock.failing", "");
    write(folder.path(), &format!("{failing}{other}{policy}"));
    assert_eventually!(
        a.get("/v1.0/metadata").await.json()["resiliencies"][0]["name"] == "r"
            && a.get("/v1.0/metadata").await.text().contains("other")
    );
    assert!(taken(&a, "other", "o").await);
}

#[tokio::test]
async fn a_changed_component_is_in_force_and_a_prefix_that_cannot_be_is_not() {
    let (a, folder) = sidecar(&component("locks", "lock.failing", "")).await;
    let key = async || {
        let body = r#"{"resourceId":"r","lockOwner":"o"}"#;
        let failed = a.post("/v1.0-alpha1/unlock/locks", body).await;
        failed.json()["message"].as_str().unwrap().to_owned()
    };
    assert!(key().await.ends_with("lock||a||r"));
    let prefixed = |prefix: &str| {
        let metadata = format!("  metadata:\n  - name: KeyPrefix\n    value: {prefix}");
        component("locks", "lock.failing", &metadata)
    };
    write(folder.path(), &prefixed("name"));
    assert_eventually!(key().await.ends_with("lock||locks||r"));
    write(folder.path(), &prefixed("x||y"));
    assert_eventually!(
        a.get("/v1.0/metadata").await.text().contains(
            "failed to save lock keyprefix: input key/keyPrefix 'x||y' can't contain '||'"
        )
    );
    assert!(key().await.ends_with("lock||locks||r"));
    write(folder.path(), &component("others", "lock.failing", ""));
    assert_eventually!(key().await == "lock store locks not found");
}
