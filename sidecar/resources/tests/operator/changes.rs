//! Changes while the sidecar runs.

use std::time::Duration;

use trilby_components::RequestMetadata;
use trilby_testkit::assert_eventually;

use crate::{
    SOON,
    support::{
        self, Sidecar,
        backend::{Backends, Mode},
        component, config,
        operator::FakeOperator,
        store,
    },
};

#[tokio::test]
async fn a_change_swaps_and_a_deletion_removes() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    operator.apply(&store("one", "2", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("2"), SOON);
    assert_eventually!(backends.closed() == ["1"], SOON);
    operator.apply(&store("new", "3", ""));
    assert_eventually!(sidecar.tag("new").await.is_some(), SOON);
    operator.delete("one");
    assert_eventually!(sidecar.info("one").is_none(), SOON);
    assert_eventually!(backends.closed() == ["1", "2"], SOON);
}

#[tokio::test]
async fn a_bad_change_leaves_the_old_one_serving_and_says_why() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    backends.set("bad", Some(Mode::Refuse));
    operator.apply(&store("one", "bad", ""));
    assert_eventually!(!sidecar.error("one").is_empty(), SOON);
    assert_eq!(
        sidecar.error("one"),
        "[INIT_COMPONENT_FAILURE]: initialization error occurred for one (state.fake/v1): it is refused"
    );
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
    assert!(backends.closed().is_empty());
    operator.apply(&store("one", "good", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("good"), SOON);
    assert_eq!(sidecar.error("one"), "");
}

#[tokio::test]
async fn a_correction_does_not_wait_for_what_hangs() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    backends.set("hangs", Some(Mode::Hang));
    let hanging =
        store("one", "hangs", "").replace("\"version\"", "\"initTimeout\":\"10m\",\"version\"");
    operator.apply(&hanging);
    assert_eventually!(backends.attempts("hangs") == 1, SOON);
    operator.apply(&store("one", "right", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("right"), SOON);
}

#[tokio::test]
async fn a_storm_ends_with_the_last_change_and_few_instances() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "0", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    for number in 1..=1000 {
        operator.apply(&store("one", &number.to_string(), ""));
    }
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("1000"), SOON);
    let closed = || backends.closed().len();
    assert_eventually!(closed() + 1 == backends.all_attempts(), SOON);
    assert!(backends.all_attempts() < 900, "{}", backends.all_attempts());
}

#[tokio::test]
async fn a_request_in_flight_keeps_the_old_one_open() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    let in_use = sidecar.resources.state_store("one").unwrap();
    assert_eventually!(operator.streams() == 1);
    operator.apply(&store("one", "2", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("2"), SOON);
    assert!(backends.closed().is_empty());
    drop(in_use);
    assert_eventually!(backends.closed() == ["1"], SOON);
}

#[tokio::test]
async fn changes_while_the_stream_was_away_are_found_by_listing() {
    let (mut operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    operator.apply(&store("gone", "g", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    operator.stop().await;
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
    operator.apply_silently(&store("one", "2", ""));
    operator.delete("gone");
    operator.resume().await;
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("2"), SOON);
    assert_eventually!(sidecar.info("gone").is_none(), SOON);
    assert_eventually!(operator.streams() == 2);
    operator.apply(&store("one", "3", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("3"), SOON);
}

#[tokio::test]
async fn a_stream_counts_as_open_before_an_operator_says_something_on_it() {
    let (mut operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    operator.stop().await;
    operator.open_streams_late();
    operator.apply_silently(&store("one", "2", ""));
    operator.resume().await;
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("2"), SOON);
    assert_eventually!(operator.streams() == 2);
    operator.apply(&store("one", "3", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("3"), SOON);
}

#[tokio::test]
async fn an_operator_without_streams_is_listed_at_intervals() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.forget_streams();
    operator.apply(&store("one", "1", ""));
    let mut config = config(&operator, backends.registry());
    config.reconcile_interval = Duration::from_millis(50);
    let sidecar = Sidecar::try_start(config).await.unwrap();
    operator.apply_silently(&store("one", "2", ""));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("2"), SOON);
    assert_eq!(operator.streams(), 0);
}

#[tokio::test]
async fn an_unchanged_component_is_not_started_again() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let mut config = config(&operator, backends.registry());
    config.reconcile_interval = Duration::from_millis(20);
    let sidecar = Sidecar::try_start(config).await.unwrap();
    let lists = operator.lists();
    assert_eventually!(operator.lists() > lists + 3, SOON);
    assert_eq!(backends.attempts("1"), 1);
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_component_waits_for_its_secret_store() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let secret = r#",{"name":"secret","secretKeyRef":{"name":"pass","key":"pass"}}"#;
    let dependent = store("one", "1", secret)
        .replace("\"spec\"", "\"auth\":{\"secretStore\":\"vault\"},\"spec\"");
    operator.apply(&dependent);
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(
        sidecar.error("one"),
        "it waits for the secret store \"vault\" (auth.secretStore), which does not serve"
    );
    assert_eventually!(operator.streams() == 1);
    operator.apply(&component("vault", "secretstores.fake", "v", ""));
    assert_eventually!(
        sidecar.tag("one").await.as_deref() == Some("1/pass of v"),
        SOON
    );
    let vault = sidecar.resources.secret_store("vault").unwrap();
    let secret = vault.get("x", &RequestMetadata::new()).await.unwrap();
    assert_eq!(secret["x"], "x of v");
}

#[tokio::test]
async fn the_actor_store_follows_its_component() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let actors = r#",{"name":"ActorStateStore","value":"true"}"#;
    operator.apply(&store("a", "1", actors));
    operator.apply(&store("b", "2", actors));
    let sidecar = Sidecar::start(&operator, &backends).await;
    let mut actor_store = sidecar.resources.actor_state();
    async fn held(store: &tokio::sync::watch::Receiver<Option<Store>>) -> Option<String> {
        let store = store.borrow().clone()?;
        support::backend::tag(&*store.store).await
    }
    assert_eq!(held(&actor_store).await.as_deref(), Some("1"));
    assert_eq!(
        sidecar.error("b"),
        "detected duplicate actor state store: a and b; a holds the state of actors"
    );
    assert_eventually!(operator.streams() == 1);
    operator.apply(&store("a", "3", actors));
    actor_store.changed().await.unwrap();
    assert_eq!(held(&actor_store).await.as_deref(), Some("3"));
    operator.delete("a");
    actor_store.changed().await.unwrap();
    assert_eq!(held(&actor_store).await.as_deref(), Some("2"));
    assert_eventually!(sidecar.error("b").is_empty(), SOON);
    operator.delete("b");
    actor_store.changed().await.unwrap();
    assert_eq!(held(&actor_store).await, None);
    assert_eventually!(backends.closed().len() == 3, SOON);
}

type Store = trilby_components::state::NamedStore;

#[tokio::test]
async fn components_of_others_are_not_ours() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let scoped = store("scoped", "1", "").replace("\"spec\"", "\"scopes\":[\"other\"],\"spec\"");
    operator.apply(&scoped);
    operator.apply(&store("elsewhere", "2", "").replace("\"shop\"", "\"barn\""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert!(sidecar.resources.components().is_empty());
    assert_eventually!(operator.streams() == 1);
    operator.apply(&scoped.replace("\"other\"", "\"cart\""));
    assert_eventually!(sidecar.tag("scoped").await.is_some(), SOON);
    operator.apply(&scoped);
    assert_eventually!(sidecar.info("scoped").is_none(), SOON);
}

#[tokio::test]
async fn an_older_generation_is_ignored() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let generation = |tag: &str, generation: u32| {
        let revision = format!("{{\"uid\":\"u\",\"generation\":{generation},\"name\"");
        store("one", tag, "").replacen("{\"name\"", &revision, 1)
    };
    operator.apply(&generation("2", 2));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eventually!(operator.streams() == 1);
    operator.apply(&generation("1", 1));
    operator.apply(&store("marker", "m", ""));
    assert_eventually!(sidecar.tag("marker").await.is_some(), SOON);
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("2"));
    operator.apply(&generation("3", 3));
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("3"), SOON);
}
