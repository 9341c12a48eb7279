use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use trilby_components::name_resolution::{Instance, NameResolver as _, Query};

use super::{ConsulResolver, LAST_RETRY, Pace};

/// An agent that answers as it is told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Scripted {
    answers: Arc<Mutex<VecDeque<(StatusCode, Value)>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = (StatusCode, Value)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    /// Paths with their parameters, each with its token.
    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().clone()
    }

    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn resolver(&self, mut configuration: Value) -> Result<ConsulResolver, String> {
        configuration["client"]["address"] = self.serve().await.into();
        let instance = Instance {
            app_id: "own".to_owned(),
            host: "10.0.0.9".to_owned(),
            ..Instance::default()
        };
        let created = ConsulResolver::new(&instance, &configuration, |_| None).await;
        created.map_err(|error| error.to_string())
    }
}

async fn answer(State(scripted): State<Scripted>, request: Request) -> Response {
    let token = request.headers().get("x-consul-token");
    let token = token.map_or("", |token| token.to_str().unwrap()).to_owned();
    let asked = (request.uri().to_string(), token);
    scripted.asked.lock().push(asked);
    let next = scripted.answers.lock().pop_front();
    let (status, body) = next.unwrap_or((StatusCode::OK, json!([])));
    (status, body.to_string()).into_response()
}

fn ok(body: Value) -> (StatusCode, Value) {
    (StatusCode::OK, body)
}

fn instances(ports: &[u16]) -> (StatusCode, Value) {
    let entries = ports.iter().map(|port| {
        json!({ "Service": { "Address": "10.0.0.1", "Meta": { "DAPR_PORT": port.to_string() } } })
    });
    ok(entries.collect())
}

fn query(app_id: &str) -> Query<'_> {
    Query {
        app_id,
        namespace: "default",
        port: 50002,
    }
}

#[tokio::test]
async fn instances_take_turns() {
    let answers = [ok(json!([])), instances(&[1, 2]), instances(&[1, 2])];
    let agent = Scripted::answering(answers);
    let resolver = agent.resolver(json!({})).await.unwrap();
    let mut found = [
        resolver.resolve(&query("b/c")).await.unwrap(),
        resolver.resolve(&query("b/c")).await.unwrap(),
    ];
    found.sort();
    assert_eq!(found, ["10.0.0.1:1", "10.0.0.1:2"]);
    let (path, _) = &agent.asked()[1];
    assert_eq!(path, "/v1/health/service/b%2Fc?passing=1&cached=");
}

#[tokio::test]
async fn the_options_of_queries_reach_the_agent() {
    let agent = Scripted::default();
    let options = json!({ "namespace": "team", "partition": "west", "token": "of queries" });
    let configuration = json!({ "client": { "token": "own" }, "queryOptions": options });
    agent.resolver(configuration).await.unwrap();
    let asked = (
        "/v1/health/service/own?passing=1&ns=team&partition=west".to_owned(),
        "of queries".to_owned(),
    );
    assert_eq!(agent.asked(), [asked]);
}

#[tokio::test]
async fn a_token_is_read_again_when_it_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    write("old\n");
    let refused = (StatusCode::FORBIDDEN, json!("Permission denied"));
    let answers = [ok(json!([])), refused.clone(), instances(&[1]), refused];
    let agent = Scripted::answering(answers);
    let configuration = json!({ "client": { "tokenFile": file.path() } });
    let resolver = agent.resolver(configuration).await.unwrap();
    write("new\n");
    assert_eq!(resolver.resolve(&query("b")).await.unwrap(), "10.0.0.1:1");
    let error = resolver.resolve(&query("b")).await.unwrap_err().to_string();
    assert!(
        error.contains("failed to query healthy consul services: the agent answers 403"),
        "{error}"
    );
    let tokens: Vec<_> = agent.asked().into_iter().map(|(_, token)| token).collect();
    assert_eq!(tokens, ["old", "old", "new", "new"]);
}

#[tokio::test]
async fn a_refusal_of_the_agent_is_told_with_its_reason() {
    let agent = Scripted::answering([(StatusCode::BAD_REQUEST, json!("invalid filter"))]);
    let refused = agent.resolver(json!({})).await.unwrap_err();
    assert!(refused.contains("invalid filter"), "{refused}");
    let missing = json!({ "client": { "tokenFile": Path::new("/nowhere/token") } });
    let missing = Scripted::default().resolver(missing).await.unwrap_err();
    assert!(missing.contains("/nowhere/token"), "{missing}");
}

#[tokio::test]
async fn a_sidecar_ends_its_registration_once_and_only_if_told() {
    let registering = json!({ "selfRegister": true, "selfDeregister": true });
    let agent = Scripted::default();
    let resolver = agent.resolver(registering).await.unwrap();
    resolver.withdraw().await;
    resolver.withdraw().await;
    let paths: Vec<_> = agent.asked().into_iter().map(|(path, _)| path).collect();
    let expected = [
        "/v1/agent/service/register?replace-existing-checks=true",
        "/v1/agent/service/deregister/own%2D10%2E0%2E0%2E9%2D0",
    ];
    assert_eq!(paths, expected);
    let agent = Scripted::default();
    let staying = agent.resolver(json!({ "selfRegister": true })).await;
    staying.unwrap().withdraw().await;
    assert_eq!(agent.asked().len(), 1);
}

#[test]
fn a_failing_watch_slows_down_to_a_limit() {
    let mut pace = Pace::default();
    pace.answered(7);
    assert_eq!(pace.index, 7);
    for _ in 0..100 {
        assert!(pace.failed() <= LAST_RETRY);
    }
    assert!(pace.failed() >= LAST_RETRY / 2);
    assert_eq!(pace.index, 0);
    pace.answered(9);
    pace.answered(8);
    assert_eq!(pace.index, 0, "an index that goes back starts over");
    assert!(pace.failed().as_secs_f64() <= 1.0);
}
