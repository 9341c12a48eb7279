//! Resources from an operator that speaks real gRPC.

mod support;

use std::time::Duration;

use support::{
    Sidecar,
    backend::{Backends, Mode},
    component, config,
    operator::FakeOperator,
    store,
};
use tonic::Status;
use trilby_components::RequestMetadata;
use trilby_proto::operator::v1::ResourceEventType;
use trilby_resources::{LoadError, Lookup, Source};
use trilby_testkit::assert_eventually;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn components_serve_after_the_first_load() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    operator.apply(&component("memory", "state.in-memory", "", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
    let memory = sidecar.info("memory").unwrap();
    assert!(memory.serving);
    assert_eq!(memory.error, None);
    assert_eq!(
        memory.capabilities,
        ["ETAG", "TRANSACTIONAL", "TTL", "ACTOR"]
    );
    assert_eq!(
        sidecar.resources.state_store("two").unwrap_err(),
        Lookup::NotFound
    );
    assert_eq!(
        sidecar.resources.secret_store("two").err(),
        Some(Lookup::NotConfigured)
    );
}

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
async fn every_mistake_names_the_component_and_what_is_wrong() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let secret =
        r#",{"name":"secret","value":null,"secretKeyRef":{"name":"redis","key":"password"}}"#;
    operator.apply(&component("unknown", "state.reddis", "", ""));
    operator.apply(&component("absent", "pubsub.kafka", "", ""));
    operator.apply(&component("away", "state.redis", "", ""));
    operator.apply(&store("untagged", "", ""));
    operator.apply(&store("secret", "1", secret));
    operator.apply(r#"{"metadata":{"name":"broken"},"spec":{"metadata":"none"}}"#);
    operator.apply(&store(
        "encrypted",
        "1",
        r#",{"name":"primaryEncryptionKey","value":"k"}"#,
    ));
    let sidecar = Sidecar::start(&operator, &backends).await;
    for (name, part) in [
        (
            "unknown",
            "unknown (state.reddis/v1): couldn't find state store state.reddis/v1. Did you mean state.redis?",
        ),
        (
            "absent",
            "absent (pubsub.kafka/v1): pubsub.kafka is not there yet",
        ),
        ("away", "built without the feature \"redis\""),
        (
            "untagged",
            "untagged (state.fake/v1): metadata property tag is missing",
        ),
        (
            "secret",
            "metadata property secret: key \"password\" of the secret \"redis\": the operator sent no value",
        ),
        ("broken", "it is not a Component"),
        (
            "encrypted",
            "metadata property primaryEncryptionKey: not there yet",
        ),
    ] {
        let error = sidecar.error(name);
        assert!(error.contains(part), "{name}: {error}");
        assert!(!sidecar.info(name).unwrap().serving);
    }
    let Err(Lookup::Failed(why)) = sidecar.resources.state_store("untagged") else {
        panic!("it does not serve");
    };
    assert!(why.contains("tag is missing"), "{why}");
}

#[tokio::test]
async fn one_that_is_away_at_start_heals() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    backends.set("1", Some(Mode::Away));
    operator.apply(&store("one", "1", ""));
    operator.apply(&store("two", "2", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(sidecar.tag("two").await.as_deref(), Some("2"));
    assert!(sidecar.error("one").contains("its server is away"));
    backends.set("1", None);
    assert_eventually!(sidecar.tag("one").await.as_deref() == Some("1"), SOON);
    assert_eq!(sidecar.error("one"), "");
}

#[tokio::test]
async fn one_that_hangs_is_given_up_after_its_own_limit() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    backends.set("1", Some(Mode::Hang));
    let hanging =
        store("one", "1", "").replace("\"version\"", "\"initTimeout\":\"50ms\",\"version\"");
    operator.apply(&hanging);
    let sidecar = Sidecar::start(&operator, &backends).await;
    let error = sidecar.error("one");
    assert!(
        error.contains("it took longer than 50ms (spec.initTimeout)"),
        "{error}"
    );
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
async fn an_operator_that_is_away_at_start_is_waited_for() {
    let (mut operator, backends) = (FakeOperator::stopped().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let starting = Sidecar::try_start(config(&operator, backends.registry()));
    let (sidecar, ()) = tokio::join!(starting, async {
        tokio::task::yield_now().await;
        operator.resume().await;
    });
    assert_eq!(sidecar.unwrap().tag("one").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_first_load_that_lasts_too_long_says_what_the_operator_said() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.fail_lists(Some(Status::unknown(
        "error getting components: no such table",
    )));
    let mut config = config(&operator, backends.registry());
    config.first_load = Duration::from_millis(300);
    let Err(error) = Sidecar::try_start(config).await else {
        panic!("there is nothing to load");
    };
    assert_eq!(
        error.to_string(),
        "error loading components: nothing usable within 300ms, the last answer was: Unknown: error \
         getting components: no such table"
    );
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
async fn a_secret_store_is_first_whatever_the_order_of_names() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let secret = r#",{"name":"secret","secretKeyRef":{"name":"pass","key":"pass"}}"#;
    let auth = "\"auth\":{\"secretStore\":\"z-vault\"},\"spec\"";
    operator.apply(&store("a", "1", secret).replace("\"spec\"", auth));
    operator.apply(&component("z-vault", "secretstores.fake", "v", ""));
    let sidecar = Sidecar::start(&operator, &backends).await;
    assert_eq!(sidecar.tag("a").await.as_deref(), Some("1/pass of v"));
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
        support::backend::tag(&*store).await
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

type Store = std::sync::Arc<dyn trilby_components::state::StateStore>;

fn configured(operator: &FakeOperator, backends: &Backends) -> trilby_resources::Config {
    let mut config = config(operator, backends.registry());
    if let Source::Operator { configuration, .. } = &mut config.source {
        *configuration = Some("settings".into());
    }
    config
}

fn settings(spec: &str) -> String {
    format!(r#"{{"metadata":{{"name":"settings"}},"spec":{spec}}}"#)
}

#[tokio::test]
async fn a_rule_of_the_configuration_takes_effect_at_once() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    operator.configure(&settings(r#"{"components":{"deny":["state.fake/v1"]}}"#));
    let sidecar = Sidecar::try_start(configured(&operator, &backends))
        .await
        .unwrap();
    assert_eq!(
        sidecar.error("one"),
        "it is denied by the Configuration (components.deny)"
    );
    assert_eq!(backends.all_attempts(), 0);
    let configuration = sidecar.resources.configuration();
    assert!(configuration.borrow().components.is_some());
    assert_eventually!(
        {
            operator.configure(&settings("{}"));
            sidecar.tag("one").await.is_some()
        },
        SOON
    );
    assert!(configuration.borrow().components.is_none());
    operator.configure(&settings(r#"{"components":{"deny":["state.fake"]}}"#));
    assert_eventually!(!sidecar.info("one").unwrap().serving, SOON);
    assert_eventually!(backends.closed() == ["1"], SOON);
}

#[tokio::test]
async fn a_useless_configuration_leaves_the_last_one_in_force() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.configure(&settings(r#"{"features":[{"name":"x","enabled":true}]}"#));
    let sidecar = Sidecar::try_start(configured(&operator, &backends))
        .await
        .unwrap();
    let configuration = sidecar.resources.configuration();
    let other = r#"{"metadata":{"name":"other"},"spec":{}}"#;
    operator.tell_configuration(other, ResourceEventType::Updated);
    operator.tell_configuration(&settings(r#""text""#), ResourceEventType::Updated);
    operator.tell_configuration(&settings("{}"), ResourceEventType::Deleted);
    assert_eventually!(
        {
            operator.configure(&settings(r#"{"features":[{"name":"y","enabled":true}]}"#));
            configuration.borrow().features[0].name == "y"
        },
        SOON
    );
}

#[tokio::test]
async fn a_missing_configuration_is_an_error_that_names_it() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let mut config = configured(&operator, &backends);
    config.first_load = Duration::from_millis(100);
    let Err(error) = Sidecar::try_start(config).await else {
        panic!("there is no configuration");
    };
    assert!(matches!(error, LoadError::Configuration(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "error loading configuration: \"settings\": Unknown: error getting configuration \
         shop/settings: Configuration.dapr.io \"settings\" not found"
    );
}

#[tokio::test]
async fn without_hot_reload_nothing_is_followed() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    operator.configure(&settings(
        r#"{"features":[{"name":"HotReload","enabled":false}]}"#,
    ));
    let mut config = configured(&operator, &backends);
    config.reconcile_interval = Duration::from_millis(10);
    let sidecar = Sidecar::try_start(config).await.unwrap();
    assert_eventually!(operator.followers() == 0, SOON);
    let lists = operator.lists();
    operator.apply(&store("one", "2", ""));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(operator.lists(), lists);
    assert_eq!(sidecar.tag("one").await.as_deref(), Some("1"));
}

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
