//! `pubsub.kafka` against a real Kafka.

use std::sync::Arc;

use trilby_components::conformance;
use trilby_components::metadata::Metadata;
use trilby_components::pubsub::PubSub;
use trilby_components::registry::{ComponentContext, InitError};
use trilby_components_kafka::KafkaPubSub;
use trilby_testkit::servers::kafka::{Kafka, USER};

fn context(app: &str) -> ComponentContext {
    ComponentContext {
        name: "broker".to_owned(),
        app_id: app.to_owned(),
        ..ComponentContext::default()
    }
}

async fn connect(app: &str, properties: &[(&str, &str)]) -> Result<KafkaPubSub, InitError> {
    let metadata = Metadata::new(properties.iter().copied()).expect("no duplicates");
    KafkaPubSub::connect(&context(app), &metadata).await
}

async fn plain(kafka: &Kafka, app: &str) -> Arc<KafkaPubSub> {
    let brokers = kafka.address().to_string();
    let connected = connect(app, &[("brokers", &brokers), ("authType", "none")]).await;
    Arc::new(connected.expect("kafka is there"))
}

#[tokio::test]
async fn it_is_a_broker() {
    let kafka = Kafka::start().await;
    let broker = plain(&kafka, "app").await;
    conformance::pubsub::run(&*broker, "app").await;
    broker.close().await;
}

#[tokio::test]
async fn replicas_share_a_group_and_groups_do_not() {
    let kafka = Kafka::with_partitions(3).await;
    let one = plain(&kafka, "app").await;
    let replica = plain(&kafka, "app").await;
    let other = plain(&kafka, "other").await;
    conformance::pubsub::run_together([&*one, &*replica], "app").await;
    conformance::pubsub::run_apart([&*one, &*other], "app").await;
}

#[tokio::test]
async fn users_are_known_by_their_passwords() {
    let kafka = Kafka::start().await;
    let brokers = kafka.sasl().to_string();
    for (mechanism, password, known) in [
        ("PLAIN", USER.1, true),
        ("SHA-256", USER.1, true),
        ("SHA-512", USER.1, true),
        ("PLAIN", "wrong", false),
        ("SHA-512", "wrong", false),
    ] {
        let properties = [
            ("brokers", &*brokers),
            ("authType", "password"),
            ("disableTls", "true"),
            ("saslUsername", USER.0),
            ("saslPassword", password),
            ("saslMechanism", mechanism),
        ];
        match connect("app", &properties).await {
            Ok(_) => assert!(known, "{mechanism} with {password}"),
            Err(error) => assert!(!known, "{mechanism} with {password}: {error}"),
        }
    }
}
