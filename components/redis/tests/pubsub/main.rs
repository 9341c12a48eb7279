//! `pubsub.redis` on real servers.

mod arrangements;
mod faults;
mod pending;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use trilby_components::conformance::pubsub::{self, Traits, run_apart, run_as, run_together};
use trilby_components::pubsub::{Message, PubSub, PubSubError};
use trilby_components::registry::CreateError;
use trilby_testkit::servers::redis::Redis;

type Broker = Arc<dyn PubSub>;

/// Several messages are handled at once.
const TRAITS: Traits = Traits {
    ordered: false,
    large: 900 * 1024,
    durable: true,
};

async fn create(app_id: &str, pairs: &[(&str, &str)]) -> Result<Broker, CreateError> {
    let backends = trilby_components_redis::backends();
    pubsub::create(backends, "pubsub.redis", app_id, pairs).await
}

/// One of the application `app`.
async fn broker(redis: &Redis, more: &[(&str, &str)]) -> Broker {
    broker_of("app", redis, more).await
}

async fn broker_of(app_id: &str, redis: &Redis, more: &[(&str, &str)]) -> Broker {
    let host = redis.address().to_string();
    let mut pairs = vec![("redisHost", host.as_str())];
    pairs.extend_from_slice(more);
    create(app_id, &pairs).await.expect("redis runs")
}

async fn publish(broker: &Broker, topic: &str, data: &str) -> Result<(), PubSubError> {
    let message = Message {
        topic: topic.to_owned(),
        data: Bytes::copy_from_slice(data.as_bytes()),
        ..Message::default()
    };
    broker.publish(message).await
}

/// What is not taken comes again at once, nearly.
const SOON: [(&str, &str); 2] = [("processingTimeout", "500ms"), ("redeliverInterval", "100")];

#[tokio::test]
async fn it_is_a_broker() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &SOON).await;
    run_as(&*broker, "app", TRAITS).await;
}

#[tokio::test]
async fn replicas_share_what_consumers_get_each() {
    let redis = Redis::start().await;
    // A busy machine may be late to say that it still holds a message.
    let settings = [("processingTimeout", "5s"), ("redeliverInterval", "100")];
    let one = broker(&redis, &settings).await;
    let other = broker(&redis, &settings).await;
    run_together([&*one, &*other], "app").await;
    let named = broker(&redis, &[("consumerID", "other")]).await;
    run_apart([&*one, &*named], "app").await;
}

#[tokio::test]
async fn numbers_out_of_range_are_refused_by_name() {
    let redis = Redis::start().await;
    let host = redis.address().to_string();
    let pairs = [("redisHost", host.as_str()), ("concurrency", "0")];
    let refused = create("app", &pairs).await.err().expect("it is refused");
    assert!(!refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains("concurrency"), "{refused}");
}
