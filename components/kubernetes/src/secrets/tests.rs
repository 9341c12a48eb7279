use std::convert::Infallible;

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use trilby_components::{
    RequestMetadata,
    conformance::secret::{self as conformance, Held},
    crypto::{CryptoError, KeySource as _},
    metadata::Metadata,
    registry::ComponentContext,
    secret::{SecretError, SecretStore as _},
};

use super::KubernetesSecrets;
use crate::KubernetesKeys;

/// A store in namespace `ns` whose API server answers each path with a status and a body.
fn store(answer: fn(&str) -> (u16, Value)) -> KubernetesSecrets {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let path = request.uri().path_and_query().expect("a path").as_str();
        let (status, body) = answer(path);
        let response = Response::builder().status(status);
        let body = Body::from(body.to_string().into_bytes());
        Ok::<_, Infallible>(response.body(body).expect("a valid response"))
    });
    KubernetesSecrets {
        namespace: Some("ns".into()),
        kubeconfig: None,
        client: OnceCell::new_with(Some(Client::new(service, "ns"))),
    }
}

fn secret(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "user": "YQ==", "password": "Yg==" } })
}

fn status(code: u16, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "status": "Failure", "code": code, "reason": "x", "message": message,
    });
    (code, body)
}

fn in_namespace(namespace: &str) -> RequestMetadata {
    RequestMetadata::from([("namespace".to_owned(), namespace.to_owned())])
}

#[tokio::test]
async fn all_keys_of_a_secret_are_returned() {
    let store = store(|path| match path {
        "/api/v1/namespaces/ns/secrets/db" => (200, secret("db")),
        other => panic!("asked for {other}"),
    });
    let found = store.get("db", &RequestMetadata::new()).await.unwrap();
    assert_eq!(found["user"], "a");
    assert_eq!(found["password"], "b");
}

#[tokio::test]
async fn the_request_may_name_another_namespace() {
    let store = store(|path| match path {
        "/api/v1/namespaces/other/secrets/db" => (200, secret("db")),
        path => panic!("asked for {path}"),
    });
    store.get("db", &in_namespace("other")).await.unwrap();
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let store = store(|path| {
        let (name, next) = if path.contains("continue=more") {
            ("two", "")
        } else {
            ("one", "more")
        };
        let list = json!({ "metadata": { "continue": next }, "items": [secret(name)] });
        (200, list)
    });
    let found = store.bulk_get(&RequestMetadata::new()).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(found["two"]["user"], "a");
}

#[tokio::test]
async fn refusals_keep_kubernetes_own_words() {
    let missing = store(|_| status(404, "secrets \"db\" not found"));
    assert_eq!(
        missing.get("db", &RequestMetadata::new()).await,
        Err(SecretError::NotFound("secrets \"db\" not found".into()))
    );
    let forbidden = store(|_| status(403, "secrets \"db\" is forbidden"));
    assert_eq!(
        forbidden.get("db", &RequestMetadata::new()).await,
        Err(SecretError::Forbidden("secrets \"db\" is forbidden".into()))
    );
    let overloaded = store(|_| status(429, "slow down"));
    let error = overloaded.get("db", &RequestMetadata::new()).await;
    assert!(error.unwrap_err().is_transient());
}

#[tokio::test]
async fn some_namespace_is_needed() {
    let context = ComponentContext::default();
    let store = KubernetesSecrets::new(&context, &Metadata::default()).unwrap();
    let error = store.get("db", &RequestMetadata::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace is missing on metadata and NAMESPACE env variable"
    );
    let metadata = Metadata::new([("defaultNamespace", "fallback")]).unwrap();
    let store = KubernetesSecrets::new(&context, &metadata).unwrap();
    assert_eq!(store.namespace.as_deref(), Some("fallback"));
}

#[tokio::test]
async fn a_missing_kubeconfig_is_named() {
    let metadata = Metadata::new([("kubeconfigPath", "/nowhere/config")]).unwrap();
    let store = KubernetesSecrets::new(&ComponentContext::default(), &metadata).unwrap();
    let error = store.get("db", &in_namespace("ns")).await.unwrap_err();
    assert!(matches!(error, SecretError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("/nowhere/config"), "{error}");
}

#[tokio::test]
async fn it_passes_the_suite() {
    let store = store(
        |path| match path.strip_prefix("/api/v1/namespaces/ns/secrets") {
            Some("/db") => (200, secret("db")),
            Some("/web") => (200, secret("web")),
            Some(list) if list.starts_with("?") => (
                200,
                json!({ "metadata": {}, "items": [secret("db"), secret("web")] }),
            ),
            Some(_) => status(404, "not found"),
            None => panic!("asked for {path}"),
        },
    );
    let values = [("user", "a"), ("password", "b")];
    let held = Held::new(&[("db", &values), ("web", &values)]);
    conformance::run(&store, &held).await;
}

#[tokio::test]
async fn keys_are_bytes_of_secrets() {
    let keys = |default| {
        let store = store(|path| match path {
            "/api/v1/namespaces/ns/secrets/keys" | "/api/v1/namespaces/other/secrets/keys" => (
                200,
                json!({ "type": "application/x-pem-file", "data": { "a": "//79", "none": "" } }),
            ),
            _ => status(404, "secrets not found"),
        });
        KubernetesKeys::over(store, default)
    };
    for name in ["keys/a", "other/keys/a"] {
        let key = keys("ns").fetch(name).await.unwrap();
        assert_eq!(key.bytes, [0xff, 0xfe, 0xfd], "{name}");
        assert_eq!(key.content_type, "application/x-pem-file");
    }
    for name in ["keys/b", "keys/none", "absent/a"] {
        let absent = keys("ns").fetch(name).await;
        assert!(
            matches!(absent, Err(CryptoError::NotFound(_))),
            "{name}: {absent:?}"
        );
    }
    for (default, name) in [
        ("ns", "keys"),
        ("ns", "a/b/c/d"),
        ("", "keys/a"),
        ("ns", "/keys/a"),
    ] {
        let refused = keys(default).fetch(name).await;
        assert!(
            matches!(refused, Err(CryptoError::InvalidRequest(_))),
            "{name}: {refused:?}"
        );
    }
}
