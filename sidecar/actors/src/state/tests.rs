use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use trilby_components::state::{
    DeleteRequest, Feature, SetRequest, StateError, StateStore, Transactional, Value,
};
use trilby_components::{RequestMetadata, in_memory};
use trilby_resiliency::{Manifest, Silent};

use super::*;

fn upsert(key: &str, ttl: Option<Ttl>) -> Operation {
    let value = Value::Binary(Bytes::from_static(b"1"));
    Operation::Upsert(SetRequest {
        ttl,
        ..SetRequest::new(key, value)
    })
}

/// The keys of one actor in `store`, whose component is called `store`.
fn state<'a>(
    store: &Arc<impl StateStore + 'static>,
    resiliency: &'a Resiliency,
    actor: &'a ActorKey,
) -> ActorState<'a> {
    let store = NamedStore {
        name: "store".into(),
        store: Arc::clone(store) as Arc<dyn StateStore>,
    };
    ActorState {
        store,
        resiliency,
        app_id: "app",
        actor,
    }
}

/// Two retries without a pause, and a second for each attempt, for the component `target`.
fn resiliency(target: &str) -> Resiliency {
    let spec = serde_json::json!({
        "policies": {"retries": {"p": {"duration": "0s", "maxRetries": 2}}, "timeouts": {"p": "1s"}},
        "targets": {"components": {target: {"outbound": {"retry": "p", "timeout": "p"}}}},
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

/// What a store does with one operation.
enum Step {
    Fail(StateError),
    Hang,
}

/// Does what it is told, then succeeds; counts.
#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<usize>,
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    async fn answer(&self) -> Result<(), StateError> {
        *self.asked.lock() += 1;
        let step = self.steps.lock().pop_front();
        match step {
            None => Ok(()),
            Some(Step::Fail(error)) => Err(error),
            Some(Step::Hang) => std::future::pending().await,
        }
    }

    fn asked(&self) -> usize {
        *self.asked.lock()
    }
}

#[async_trait]
impl StateStore for Scripted {
    fn features(&self) -> &[Feature] {
        &[]
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    async fn get(&self, _: GetRequest) -> Result<Option<Item>, StateError> {
        self.answer().await.map(|()| None)
    }

    async fn set(&self, _: SetRequest) -> Result<(), StateError> {
        self.answer().await
    }

    async fn delete(&self, _: DeleteRequest) -> Result<(), StateError> {
        self.answer().await
    }
}

#[async_trait]
impl Transactional for Scripted {
    async fn transact(&self, _: Vec<Operation>, _: &RequestMetadata) -> Result<(), StateError> {
        self.answer().await
    }
}

fn away() -> Step {
    Step::Fail(StateError::Unavailable("away".to_owned()))
}

#[tokio::test]
async fn keys_stand_below_app_type_and_id() {
    let (store, resiliency) = (
        Arc::new(in_memory::InMemoryState::default()),
        resiliency("other"),
    );
    let actor = ActorKey::new("cat", "1");
    let state = state(&store, &resiliency, &actor);
    state
        .transact(vec![upsert("mood", None)], StateTtl::Refused)
        .await
        .unwrap();
    assert_eq!(state.get("mood").await.unwrap().unwrap().value, "1");
    assert!(
        store
            .get(GetRequest::new("app||cat||1||mood"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn expiry_needs_its_feature() {
    let (store, resiliency) = (
        Arc::new(in_memory::InMemoryState::default()),
        resiliency("other"),
    );
    let actor = ActorKey::new("cat", "1");
    let state = state(&store, &resiliency, &actor);
    let expiring = || vec![upsert("mood", Some(Ttl::from_seconds(9)))];
    let error = state
        .transact(expiring(), StateTtl::Refused)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "error saving actor transaction state: ttlInSeconds is not supported without the \
         \"ActorStateTTL\" feature enabled"
    );
    state.transact(expiring(), StateTtl::Allowed).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_the_store_retries_and_gives_up_what_hangs() {
    let (resiliency, actor) = (resiliency("store"), ActorKey::new("cat", "1"));
    let store = Scripted::new([away(), Step::Hang, away(), Step::Hang]);
    let state = state(&store, &resiliency, &actor);
    let error = state.get("mood").await.unwrap_err();
    assert_eq!(error.to_string(), "error getting actor state: away");
    assert_eq!(store.asked(), 3);
    let write = state.transact(vec![upsert("mood", None)], StateTtl::Refused);
    assert_eq!(write.await, Ok(()));
    assert_eq!(store.asked(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_end_is_told_as_such() {
    let (resiliency, actor) = (resiliency("store"), ActorKey::new("cat", "1"));
    let store = Scripted::new([Step::Hang, Step::Hang, Step::Hang]);
    let error = state(&store, &resiliency, &actor)
        .transact(vec![upsert("mood", None)], StateTtl::Refused)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "error saving actor transaction state: context deadline exceeded"
    );
}

#[tokio::test]
async fn what_cannot_succeed_is_not_tried_again_nor_what_has_no_policy() {
    let actor = ActorKey::new("cat", "1");
    for (target, step) in [
        ("store", Step::Fail(StateError::EtagMismatch("old".into()))),
        ("other", away()),
    ] {
        let (store, resiliency) = (Scripted::new([step]), resiliency(target));
        let state = state(&store, &resiliency, &actor);
        assert!(state.get("mood").await.is_err());
        assert_eq!(store.asked(), 1, "{target}");
    }
}
