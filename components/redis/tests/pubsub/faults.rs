//! Servers that go, hang, and forget.

use trilby_components::conformance::pubsub::{Seen, Subscribed};
use trilby_components::pubsub::{PubSubError, SubscribeRequest};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::redis::Redis;

use super::{Broker, SOON, broker, create, publish};

/// Limits that a test can wait for.
const SHORT: [(&str, &str); 4] = [
    ("readTimeout", "1s"),
    ("redisMaxRetries", "-1"),
    SOON[0],
    SOON[1],
];

async fn publish_at_last(broker: &Broker, data: &str) {
    eventually("it serves again", async || publish(broker, "t", data).await).await;
}

#[tokio::test]
async fn a_subscription_survives_restarts_of_the_server() {
    let mut redis = Redis::start().await;
    let broker = broker(&redis, &SOON).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    for text in ["one", "two", "three"] {
        publish_at_last(&broker, text).await;
        let there = |texts: &[String]| texts.iter().any(|seen| seen == text);
        subscribed.seen.until(text, there).await;
        redis.stop().await;
        redis.resume().await;
    }
    subscribed.end().await;
}

#[tokio::test]
async fn a_stopped_subscription_ends_while_the_server_is_away() {
    let mut redis = Redis::start().await;
    let broker = broker(&redis, &SHORT).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    redis.stop().await;
    subscribed.end().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_found_again() {
    let mut redis = Redis::start().await;
    let broker = broker(&redis, &SHORT).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    redis.freeze();
    let late = publish(&broker, "t", "late").await.unwrap_err();
    assert!(matches!(late, PubSubError::Unavailable(_)), "{late}");
    redis.thaw();
    publish_at_last(&broker, "after").await;
    let there = |texts: &[String]| texts.iter().any(|text| text == "after");
    subscribed.seen.until("it", there).await;
    subscribed.end().await;
}

#[tokio::test]
async fn a_group_that_is_gone_is_made_again() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &SOON).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    for (text, destruction) in [
        ("group", &["XGROUP", "DESTROY", "t", "app"][..]),
        ("stream", &["DEL", "t"]),
        ("database", &["FLUSHALL"]),
    ] {
        redis.command(destruction);
        publish(&broker, "t", text).await.unwrap();
        let there = |texts: &[String]| texts.iter().any(|seen| seen == text);
        subscribed.seen.until(text, there).await;
    }
    subscribed.end().await;
}

#[tokio::test]
async fn a_server_that_is_away_takes_nothing() {
    let mut redis = Redis::start().await;
    let broker = broker(&redis, &SHORT).await;
    redis.stop().await;
    let refused = publish(&broker, "t", "x").await.unwrap_err();
    assert!(matches!(refused, PubSubError::Unavailable(_)), "{refused}");
    let request = SubscribeRequest {
        topic: "t".to_owned(),
        ..SubscribeRequest::default()
    };
    let handler = std::sync::Arc::new(Seen::default());
    let refused = broker.subscribe(request, handler).await.err();
    assert!(
        matches!(refused, Some(PubSubError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_wrong_password_is_a_transient_error_at_start() {
    let redis = Redis::with_password("right").await;
    let host = redis.address().to_string();
    let pairs = [("redisHost", host.as_str()), ("redisPassword", "wrong")];
    let refused = create("app", &pairs).await.err().expect("it is refused");
    assert!(refused.is_transient(), "{refused}");
}

#[tokio::test]
async fn a_key_that_is_no_stream_is_said() {
    let redis = Redis::start().await;
    redis.command(&["SET", "t", "text"]);
    let broker = broker(&redis, &[]).await;
    let refused = publish(&broker, "t", "x").await.unwrap_err();
    assert!(
        matches!(&refused, PubSubError::Broker(reason) if reason.contains("WRONGTYPE")),
        "{refused}"
    );
}
