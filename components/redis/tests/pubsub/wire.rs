//! What stands in the streams, so that both kinds of sidecars use them.

use bytes::Bytes;
use trilby_components::RequestMetadata;
use trilby_components::conformance::pubsub::{Seen, Subscribed};
use trilby_components::pubsub::Message;
use trilby_testkit::servers::redis::Redis;

use super::{SOON, broker, publish};

#[tokio::test]
async fn an_entry_is_as_upstream_writes_it() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[]).await;
    let message = Message {
        topic: "t".to_owned(),
        data: Bytes::from_static(b"plain"),
        ..Message::default()
    };
    let with_metadata = Message {
        metadata: RequestMetadata::from([("rawPayload".to_owned(), "true".to_owned())]),
        ..message.clone()
    };
    broker.publish(message).await.unwrap();
    broker.publish(with_metadata).await.unwrap();
    let entries = redis.command(&["XRANGE", "t", "-", "+"]);
    let lines: Vec<&str> = entries.lines().collect();
    assert_eq!(lines[1..3], ["data", "plain"]);
    let expected = ["data", "plain", "metadata", r#"{"rawPayload":"true"}"#];
    assert_eq!(lines[4..8], expected);
}

#[tokio::test]
async fn an_entry_of_upstream_arrives_with_its_metadata() {
    let redis = Redis::start().await;
    redis.command(&["XADD", "t", "*", "data", "x", "metadata", r#"{"a":"b"}"#]);
    let broker = broker(&redis, &[]).await;
    // From the first entry on, as upstream's group.
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    subscribed.seen.until("it", |texts| texts == ["x"]).await;
    let message = subscribed.seen.messages().remove(0);
    let metadata = RequestMetadata::from([("a".to_owned(), "b".to_owned())]);
    assert_eq!((message.metadata, message.content_type), (metadata, None));
    subscribed.end().await;
}

/// Upstream's sidecars all consume under the name of the group.
#[tokio::test]
async fn what_a_consumer_of_upstream_left_behind_is_taken_over() {
    let redis = Redis::start().await;
    redis.command(&["XGROUP", "CREATE", "t", "app", "0", "MKSTREAM"]);
    redis.command(&["XADD", "t", "*", "data", "left"]);
    redis.command(&["XREADGROUP", "GROUP", "app", "app", "STREAMS", "t", ">"]);
    let broker = broker(&redis, &SOON).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    subscribed.seen.until("it", |texts| texts == ["left"]).await;
    subscribed.end().await;
    let consumers = redis.command(&["XINFO", "CONSUMERS", "t", "app"]);
    assert!(
        consumers.contains("\napp\n"),
        "it is not ours to remove: {consumers}"
    );
}

#[tokio::test]
async fn a_stream_is_cut_by_length() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[("maxLenApprox", "100")]).await;
    for number in 0..400 {
        publish(&broker, "t", &number.to_string()).await.unwrap();
    }
    let length: usize = redis.command(&["XLEN", "t"]).parse().unwrap();
    // Redis removes whole blocks of 100.
    assert!((100..=200).contains(&length), "{length}");
}

#[tokio::test]
async fn a_stream_is_cut_by_age() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[("streamTTL", "1h")]).await;
    let old = "for i = 1, 250 do redis.call('XADD', KEYS[1], '1-' .. i, 'data', 'old') end";
    redis.command(&["EVAL", old, "1", "t"]);
    publish(&broker, "t", "new").await.unwrap();
    let length: usize = redis.command(&["XLEN", "t"]).parse().unwrap();
    assert!(length <= 51, "{length}");
}
