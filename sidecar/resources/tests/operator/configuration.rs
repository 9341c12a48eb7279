//! The Configuration, and what its rules do to components.

use std::time::Duration;

use trilby_proto::operator::v1::ResourceEventType;
use trilby_resources::{LoadError, Source};
use trilby_testkit::assert_eventually;

use crate::{
    SOON,
    support::{Sidecar, backend::Backends, config, operator::FakeOperator, store},
};

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
