//! What is there after the first load, and what it says about what is not.

use std::{sync::Arc, time::Duration};

use tonic::Status;
use trilby_resources::{Asked, Config, Lookup, Observer, Step};
use trilby_testkit::assert_eventually;

use crate::{
    SOON,
    support::{
        Sidecar,
        backend::{Backends, Mode},
        component, config,
        operator::FakeOperator,
        store,
    },
};

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
        [
            "ETAG",
            "TRANSACTIONAL",
            "TTL",
            "DELETE_WITH_PREFIX",
            "KEYS_LIKE",
            "ACTOR"
        ]
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
async fn every_mistake_names_the_component_and_what_is_wrong() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    let secret =
        r#",{"name":"secret","value":null,"secretKeyRef":{"name":"redis","key":"password"}}"#;
    operator.apply(&component("unknown", "state.reddis", "", ""));
    operator.apply(&component("absent", "pubsub.kubemq", "", ""));
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
            "absent (pubsub.kubemq/v1): pubsub.kubemq is not there yet",
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
            "metadata property primaryEncryptionKey: it has to refer to a secret",
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
        "error loading Component resources: nothing usable within 300ms, the last answer was: Unknown: error \
         getting components: no such table"
    );
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

/// Keeps what the operator was asked.
#[derive(Default)]
struct Asking(parking_lot::Mutex<Vec<Asked>>);

impl Observer for Asking {
    fn initialised(&self, _: &str) {}
    fn failed(&self, _: &str, _: Step, _: &str) {}
    fn unusable(&self, _: &str) {}
    fn asked(&self, asked: &Asked) {
        self.0.lock().push(*asked);
    }
}

#[tokio::test]
async fn lists_are_counted_with_their_sizes_and_streams_are_not() {
    let (operator, backends) = (FakeOperator::start().await, Backends::default());
    operator.apply(&store("one", "1", ""));
    let asking = Arc::new(Asking::default());
    let config = Config {
        observer: Arc::clone(&asking) as Arc<dyn Observer>,
        ..config(&operator, backends.registry())
    };
    let _sidecar = Sidecar::try_start(config).await.unwrap();
    assert_eventually!(operator.streams() == 1);
    let asked = asking.0.lock().clone();
    let of = |method: &str| {
        let method = format!("/dapr.proto.operator.v1.Operator/{method}");
        let mut asked = asked.iter().filter(move |asked| asked.method == method);
        asked.next().copied()
    };
    let components = of("ListComponents").unwrap();
    assert_eq!(components.status, tonic::Code::Ok);
    assert!(
        components.request > 0 && components.response > 50,
        "{components:?}"
    );
    assert!(
        asked.iter().all(|asked| asked.method.contains("/List")),
        "{asked:?}"
    );
}
