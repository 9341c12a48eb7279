//! Pluggable state and secret stores, each a process on a real socket.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trilby_components::conformance::{self, secret::Held};
use trilby_components::registry::Instance;
use trilby_components::state::{GetRequest, Item, SetRequest, StateError, StateStore, Value};
use trilby_components_pluggable::testing::{Process, Settings};
use trilby_testkit::eventually::eventually;
use world::World;

/// What the secret store holds.
const SECRETS: &[(&str, &[(&str, &str)])] = &[
    ("db", &[("user", "shop"), ("password", "hunter2")]),
    ("key", &[("key", "value")]),
];

fn held() -> Held {
    Held::new(SECRETS)
}

/// Reads until it is answered: what was sent to a process that goes may be lost with it.
async fn answer(store: &dyn StateStore) -> Option<Item> {
    let read = async || store.get(GetRequest::new("key")).await;
    eventually("the store answers", read).await
}

#[tokio::test]
async fn a_state_store_keeps_every_promise() {
    for reflection in ["v1", "v1alpha"] {
        let world = World::new();
        let settings = Settings {
            reflection,
            ..Settings::default()
        };
        let _process = world.process("store", settings);
        let store = world.state("store", "mystore").await.unwrap();
        let capabilities = ["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"];
        assert_eq!(store.capabilities(), capabilities);
        conformance::state::run(&*store, "app").await;
    }
}

#[tokio::test]
async fn a_secret_store_keeps_every_promise() {
    let world = World::new();
    let settings = Settings {
        secrets: held().secrets,
        ..Settings::default()
    };
    let _process = world.process("store", settings);
    let store = world.secrets("store", "secrets").await.unwrap();
    assert_eq!(store.capabilities(), ["MULTIPLE_KEY_VALUES_PER_SECRET"]);
    conformance::secret::run(&*store, &held()).await;
}

#[tokio::test]
async fn a_component_is_told_its_name_and_what_it_is_configured_with() {
    let world = World::new();
    let process = world.process("store", Settings::default());
    for name in ["one", "two"] {
        world.state("store", name).await.unwrap();
    }
    assert_eq!(process.inits(), ["one", "two"]);
    let properties = BTreeMap::from([("Setting".to_owned(), "of one".to_owned())]);
    assert_eq!(process.properties("one"), Some(properties));
}

#[tokio::test]
async fn a_process_that_starts_again_is_initialised_again_before_it_is_asked() {
    let world = World::new();
    let settings = Settings::default();
    let process = world.process("store", settings.clone());
    let store = world.state("store", "mystore").await.unwrap();
    let value = Value::Binary("1".into());
    store.set(SetRequest::new("key", value)).await.unwrap();
    process.kill();
    let away = store.get(GetRequest::new("key")).await;
    assert!(matches!(away, Err(StateError::Unavailable(_))), "{away:?}");
    let process = world.process("store", settings);
    let read = answer(&*store).await;
    assert_eq!(read.unwrap().value, "1");
    assert_eq!(process.inits(), ["mystore"]);
    assert_eq!(process.properties("mystore").unwrap().len(), 1);
}

#[tokio::test]
async fn callers_of_a_process_that_comes_back_initialise_it_once() {
    let world = World::new();
    let process = world.process("store", Settings::default());
    let store = world.state("store", "mystore").await.unwrap();
    process.kill();
    let process = world.process("store", Settings::default());
    let reads = (0..64).map(|_| answer(&*store));
    for read in futures_util::future::join_all(reads).await {
        assert_eq!(read, None);
    }
    assert_eq!(process.inits(), ["mystore"]);
}

#[tokio::test]
async fn a_closed_component_answers_nobody() {
    let world = World::new();
    let _process = world.process("store", Settings::default());
    let store = world.state("store", "mystore").await.unwrap();
    store.close().await;
    let read = store.get(GetRequest::new("key")).await;
    assert!(matches!(read, Err(StateError::Unavailable(_))), "{read:?}");
}

#[tokio::test]
async fn transactions_are_as_long_as_the_store_says() {
    for (said, most) in [(3, Some(3)), (-1, None), (0, None)] {
        let world = World::new();
        let settings = Settings {
            max_operations: said,
            ..Settings::default()
        };
        let _process = world.process("store", settings);
        let store = world.state("store", "mystore").await.unwrap();
        let transactional = store.transactional().unwrap();
        assert_eq!(transactional.max_operations().await, most);
    }
}

#[tokio::test]
async fn a_store_without_transactions_has_none() {
    let world = World::new();
    let settings = Settings {
        features: Vec::new(),
        ..Settings::default()
    };
    let _process = world.process("store", settings);
    let store = world.state("store", "mystore").await.unwrap();
    assert!(store.transactional().is_none() && store.queryable().is_none());
    assert!(store.capabilities().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let world = World::new();
    let settings = Settings::default();
    let _process = world.process("store", settings.clone());
    let store = world.state("store", "mystore").await.unwrap();
    let long = |megabytes: usize| Bytes::from(vec![b'x'; megabytes << 20]);
    // Beside the component, which would not take it either.
    let write = |megabytes| {
        let value = Value::Binary(long(megabytes));
        settings.state.set(SetRequest::new("key", value))
    };
    write(10).await.unwrap();
    let read = store.get(GetRequest::new("key")).await.unwrap();
    assert_eq!(read.unwrap().value, long(10));
    write(65).await.unwrap();
    let refused = store.get(GetRequest::new("key")).await;
    assert!(matches!(refused, Err(StateError::Store(_))), "{refused:?}");
}

#[tokio::test]
async fn a_hanging_socket_holds_up_nobody_and_is_named() {
    let world = World::new();
    // It listens, and never answers.
    let path = world.path("hangs");
    let _hanging = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let _process = world.process("store", Settings::default());
    world.state("store", "mystore").await.unwrap();
    let refused = world.state("hangs", "mystore").await.err().unwrap();
    let text = refused.to_string();
    let expected = format!(
        "{} cannot be used: it did not say within 3s what it serves",
        path.display()
    );
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_type_whose_socket_is_not_there_names_the_folder_until_it_is() {
    let world = World::new();
    let refused = world.state("store", "mystore").await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        format!(
            "couldn't find state store state.store/v1; there is no socket of a pluggable component \"store\" in {}",
            world.folder().display()
        )
    );
    let _process = world.process("store", Settings::default());
    eventually("the type is there", async || {
        world.state("store", "mystore").await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_socket_goes_before_a_type_of_the_build() {
    let world = World::new();
    let process = world.process("in-memory", Settings::default());
    world.state("in-memory", "mystore").await.unwrap();
    assert_eq!(process.inits(), ["mystore"]);
}

#[tokio::test]
async fn a_socket_with_another_protocol_is_refused_by_name() {
    let world = World::new();
    let path = world.path("chatty");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let chatting = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let hello =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 No\r\n\r\n");
            hello.await.ok();
        }
    });
    let refused = world.state("chatty", "mystore").await.err().unwrap();
    assert!(
        refused.to_string().contains("chatty.sock cannot be used: "),
        "{refused}"
    );
    chatting.abort();
}

#[tokio::test]
async fn instances_are_of_the_block_that_was_asked_for() {
    let world = World::new();
    let _process: Process = world.process("both", Settings::default());
    let state: Arc<_> = world.state("both", "state").await.unwrap();
    let secrets = world.create("secretstores.both", "secrets").await.unwrap();
    assert!(matches!(secrets, Instance::Secret(_)));
    assert_eq!(state.get(GetRequest::new("key")).await, Ok(None));
}
