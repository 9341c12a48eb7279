//! Policies of Resiliency resources, from a folder, on calls that really fail.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use http::{Request, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use trilby_testkit::assert_eventually;

use crate::sidecar::{Directory, Settings, Sidecar};

/// Answers each path with its status and counts how often it was asked; `/hang` never answers.
#[derive(Clone, Default)]
struct App {
    statuses: Arc<Mutex<HashMap<String, u16>>>,
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl App {
    async fn start(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    fn set(&self, path: &str, status: u16) {
        self.statuses.lock().insert(path.to_owned(), status);
    }

    fn asked(&self, path: &str) -> u32 {
        self.asked.lock().get(path).copied().unwrap_or_default()
    }
}

async fn answer(State(app): State<App>, uri: Uri) -> Response {
    let path = uri.path().to_owned();
    *app.asked.lock().entry(path.clone()).or_default() += 1;
    if path == "/hang" {
        std::future::pending::<()>().await;
    }
    let status = app.statuses.lock().get(&path).copied().unwrap_or(200);
    (
        StatusCode::from_u16(status).unwrap(),
        format!("status {status}"),
    )
        .into_response()
}

/// Two sidecars; the caller's policies are those of a file that can change.
struct Pair {
    caller: Sidecar,
    _callee: Sidecar,
    app: App,
    /// The caller's.
    own: App,
    folder: TempDir,
}

impl Pair {
    async fn start(spec: Value) -> Self {
        let (app, own, directory) = (App::default(), App::default(), Directory::default());
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), spec);
        let callee = Sidecar::start(Settings::new("b").app(app.start().await), &directory).await;
        let caller = Settings::new("a")
            .app(own.start().await)
            .resources(folder.path());
        let caller = Sidecar::start(caller, &directory).await;
        Self {
            caller,
            _callee: callee,
            app,
            own,
            folder,
        }
    }

    async fn call(&self, method: &str) -> (u16, String) {
        let answer = self
            .caller
            .get(&format!("/v1.0/invoke/b/method{method}"))
            .await;
        (answer.status.as_u16(), answer.text())
    }
}

fn write(folder: &Path, spec: Value) {
    let resource = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "policies"}, "spec": spec,
    });
    // JSON is YAML. A file is replaced whole, so that no half of it is read.
    let new = folder.join("policies.new");
    std::fs::write(&new, resource.to_string()).unwrap();
    std::fs::rename(new, folder.join("policies.yaml")).unwrap();
}

fn retries(retry: Value) -> Value {
    json!({"policies": {"retries": {"r": retry}}, "targets": {"apps": {"b": {"retry": "r"}}}})
}

#[tokio::test]
async fn failed_answers_are_asked_for_again_and_the_last_one_is_passed_on() {
    let pair = Pair::start(retries(json!({"duration": "1ms", "maxRetries": 2}))).await;
    pair.app.set("/away", 503);
    assert_eq!(pair.call("/away").await, (503, "status 503".to_owned()));
    assert_eq!(pair.app.asked("/away"), 3);
    assert_eq!(pair.call("/well").await.0, 200);
    assert_eq!(pair.app.asked("/well"), 1);
}

#[tokio::test]
async fn only_statuses_that_match_are_asked_for_again() {
    let matching = json!({"httpStatusCodes": "429,500-599"});
    let retry = json!({"duration": "1ms", "maxRetries": 3, "matching": matching});
    let pair = Pair::start(retries(retry)).await;
    for (path, status, asked) in [("/missing", 404, 1), ("/busy", 429, 4), ("/broken", 500, 4)] {
        pair.app.set(path, status);
        assert_eq!(pair.call(path).await.0, status);
        assert_eq!(pair.app.asked(path), asked, "{status}");
    }
}

#[tokio::test]
async fn a_body_that_is_still_arriving_is_sent_once() {
    let pair = Pair::start(retries(json!({"duration": "1ms", "maxRetries": 3}))).await;
    pair.app.set("/away", 503);
    let pieces = tokio_stream::iter([Ok::<_, std::io::Error>("piece")]);
    let request = Request::post(pair.caller.url("/v1.0/invoke/b/method/away"));
    let request = request.body(axum::body::Body::from_stream(pieces)).unwrap();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let answer = client.build_http().request(request).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(pair.app.asked("/away"), 1);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up() {
    let pair = Pair::start(json!({
        "policies": {"timeouts": {"t": "50ms"}, "retries": {"r": {"duration": "1ms", "maxRetries": 1}}},
        "targets": {"apps": {"b": {"timeout": "t", "retry": "r"}}},
    }))
    .await;
    let (status, text) = pair.call("/hang").await;
    assert_eq!(status, 500);
    assert!(
        text.contains("failed to invoke, id: b, err: context deadline exceeded"),
        "{text}"
    );
    assert_eq!(pair.app.asked("/hang"), 2);
}

#[tokio::test]
async fn a_breaker_opens_for_its_method_and_closes_when_a_probe_succeeds() {
    let pair = Pair::start(json!({
        "policies": {"circuitBreakers": {"c": {"trip": "consecutiveFailures > 1", "timeout": "300ms"}}},
        "targets": {"apps": {"b": {"circuitBreaker": "c"}}},
    }))
    .await;
    pair.app.set("/away", 503);
    for _ in 0..2 {
        assert_eq!(pair.call("/away").await.0, 503);
    }
    let (status, text) = pair.call("/away").await;
    assert_eq!(status, 500);
    assert!(text.contains("circuit breaker is open"), "{text}");
    assert_eq!(pair.app.asked("/away"), 2);
    assert_eq!(pair.call("/other").await.0, 200);
    pair.app.set("/away", 200);
    assert_eventually!(pair.call("/away").await.0 == 200);
}

#[tokio::test]
async fn a_changed_policy_is_in_force_without_a_restart_and_a_broken_one_is_not() {
    let pair = Pair::start(retries(json!({"duration": "1ms", "maxRetries": 1}))).await;
    pair.app.set("/away", 503);
    pair.call("/away").await;
    assert_eq!(pair.app.asked("/away"), 2);
    write(
        pair.folder.path(),
        retries(json!({"duration": "1ms", "maxRetries": 4})),
    );
    let attempts = async || {
        let before = pair.app.asked("/away");
        pair.call("/away").await;
        pair.app.asked("/away") - before
    };
    assert_eventually!(attempts().await == 5);
    // A second resource, about the caller's own app, shows when the first, broken one has been read.
    write(
        pair.folder.path(),
        retries(json!({"duration": "soon", "maxRetries": 9})),
    );
    let more = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": "seen"},
        "spec": {
            "policies": {"retries": {"seen": {"duration": "1ms", "maxRetries": 1}}},
            "targets": {"apps": {"a": {"retry": "seen"}}},
        },
    });
    pair.own.set("/away", 503);
    std::fs::write(pair.folder.path().join("seen.yaml"), more.to_string()).unwrap();
    let own_attempts = async || {
        let before = pair.own.asked("/away");
        pair.caller.get("/v1.0/invoke/a/method/away").await;
        pair.own.asked("/away") - before
    };
    assert_eventually!(own_attempts().await == 2);
    assert_eq!(attempts().await, 5);
}
