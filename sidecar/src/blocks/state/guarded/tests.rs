use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trilby_components::state::{Feature, Value};
use trilby_resiliency::{Manifest, Silent};

use super::*;

/// Answers each key from its script, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    failures: Mutex<HashMap<String, Vec<StateError>>>,
    asked: Mutex<Vec<String>>,
    hangs: bool,
}

impl Scripted {
    /// A key fails so often, then succeeds.
    fn fail(self, key: &str, failures: Vec<StateError>) -> Self {
        self.failures.lock().insert(key.to_owned(), failures);
        self
    }

    async fn answer(&self, key: String) -> Result<(), StateError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let failure = self.failures.lock().get_mut(&key).and_then(Vec::pop);
        self.asked.lock().push(key);
        failure.map_or(Ok(()), Err)
    }

    fn asked(&self) -> String {
        self.asked.lock().join(" ")
    }
}

#[async_trait]
impl StateStore for Scripted {
    fn features(&self) -> &[Feature] {
        &[]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        self.answer(request.key).await.map(|()| None)
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.answer(request.key).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.answer(request.key).await
    }
}

/// Two retries without a pause, a second for each attempt, and a breaker that opens with the second failure
/// in a row.
fn resiliency(policies: &[&str]) -> Resiliency {
    let outbound: HashMap<&str, &str> = policies.iter().map(|policy| (*policy, "p")).collect();
    let spec = serde_json::json!({
        "policies": {
            "retries": {"p": {"duration": "0s", "maxRetries": 2}},
            "timeouts": {"p": "1s"},
            "circuitBreakers": {"p": {"trip": "consecutiveFailures > 1"}},
        },
        "targets": {"components": {"store": {"outbound": outbound}}},
    });
    let spec = serde_json::from_value(spec).unwrap();
    let resiliency = Resiliency::new(Arc::new(Silent));
    let manifest = Manifest {
        name: "r",
        namespace: "",
        spec: &spec,
    };
    assert_eq!(resiliency.replace(&[manifest]), []);
    resiliency
}

fn guarded_store<'a>(store: &'a Scripted, resiliency: &'a Resiliency) -> Guarded<'a> {
    Guarded {
        store,
        name: "store",
        resiliency,
    }
}

fn away() -> StateError {
    StateError::Unavailable("away".to_owned())
}

fn mismatch() -> StateError {
    StateError::EtagMismatch("old".to_owned())
}

fn writes(keys: &[&str]) -> Vec<SetRequest> {
    keys.iter()
        .map(|key| SetRequest::new(*key, Value::Binary("v".into())))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_without_policy_is_asked_once() {
    let resiliency = resiliency(&[]);
    let store = Scripted::default().fail("a", vec![away()]);
    let guarded = guarded_store(&store, &resiliency);
    assert_eq!(guarded.get(GetRequest::new("a")).await, Err(away()));
    assert_eq!(store.asked(), "a");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let resiliency = resiliency(&["retry"]);
    let store = Scripted::default().fail("a", vec![away(), away()]);
    let guarded = guarded_store(&store, &resiliency);
    assert_eq!(guarded.get(GetRequest::new("a")).await, Ok(None));
    assert_eq!(store.asked(), "a a a");
}

#[tokio::test(start_paused = true)]
async fn an_etag_that_does_not_match_is_not_tried_again() {
    let resiliency = resiliency(&["retry"]);
    let store = Scripted::default().fail("a", vec![mismatch()]);
    let guarded = guarded_store(&store, &resiliency);
    let written = guarded.set(writes(&["a"]).remove(0)).await;
    assert_eq!(written, Err(mismatch()));
    assert_eq!(store.asked(), "a");
}

#[tokio::test(start_paused = true)]
async fn of_many_writes_only_those_that_may_pass_are_made_again() {
    let resiliency = resiliency(&["retry"]);
    let store = Scripted::default()
        .fail("b", vec![away()])
        .fail("c", vec![mismatch()]);
    let guarded = guarded_store(&store, &resiliency);
    let written = guarded.bulk_set(writes(&["a", "b", "c"])).await;
    assert_eq!(written, Err(mismatch()));
    assert_eq!(store.asked(), "a b c b");
}

#[tokio::test(start_paused = true)]
async fn a_bulk_read_is_made_again_and_answers_with_what_failed_last() {
    let resiliency = resiliency(&["retry"]);
    let store = Scripted::default().fail("b", vec![away(), away(), away()]);
    let guarded = guarded_store(&store, &resiliency);
    let requests = vec![GetRequest::new("a"), GetRequest::new("b")];
    let items = guarded.bulk_get(requests, 1).await;
    let results: Vec<_> = items.into_iter().map(|item| item.result).collect();
    assert_eq!(results, [Ok(None), Err(away())]);
    assert_eq!(store.asked(), "a b a b a b");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_fails_in_the_words_of_a_deadline() {
    let resiliency = resiliency(&["timeout"]);
    let store = Scripted {
        hangs: true,
        ..Scripted::default()
    };
    let guarded = guarded_store(&store, &resiliency);
    let began = tokio::time::Instant::now();
    let late = StateError::Unavailable("context deadline exceeded".to_owned());
    assert_eq!(guarded.get(GetRequest::new("a")).await, Err(late.clone()));
    let items = guarded.bulk_get(vec![GetRequest::new("a")], 1).await;
    assert_eq!(items[0].result, Err(late));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_keeps_failing_is_left_alone() {
    let resiliency = resiliency(&["circuitBreaker"]);
    let store = Scripted::default().fail("a", vec![away(), away()]);
    let guarded = guarded_store(&store, &resiliency);
    for _ in 0..2 {
        assert_eq!(guarded.get(GetRequest::new("a")).await, Err(away()));
    }
    let open = StateError::Unavailable("circuit breaker is open".to_owned());
    assert_eq!(guarded.get(GetRequest::new("b")).await, Err(open));
    assert_eq!(store.asked(), "a a");
}
