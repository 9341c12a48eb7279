//! Entries that were given to a consumer and are not settled.

use std::sync::Arc;

use tokio::sync::Semaphore;
use trilby_components::conformance::pubsub::{Seen, Subscribed};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::redis::Redis;

use super::{SOON, broker, publish};

/// How many entries of the group `app` are not settled.
fn pending(redis: &Redis) -> usize {
    let summary = redis.command(&["XPENDING", "t", "app"]);
    let count = summary.lines().next().expect("there is a count");
    count.parse().expect("it is a number")
}

/// The lines of what the server knows of the consumers.
fn consumers(redis: &Redis) -> String {
    redis.command(&["XINFO", "CONSUMERS", "t", "app"])
}

async fn until_pending(redis: &Redis, wanted: usize) {
    eventually(&format!("{wanted} are pending"), async || {
        let now = pending(redis);
        (now == wanted).then_some(()).ok_or(now)
    })
    .await;
}

/// Adds a message and reads it before anybody else can.
const READ_AT_ONCE: &str = "redis.call('XADD', KEYS[1], '*', 'data', 'later') \
    redis.call('XREADGROUP', 'GROUP', 'app', 'dead', 'STREAMS', KEYS[1], '>')";

/// As a replica that read it and died at once.
fn read_and_die(redis: &Redis) {
    redis.command(&["XREADGROUP", "GROUP", "app", "dead", "STREAMS", "t", ">"]);
}

#[tokio::test]
async fn a_handler_that_fails_never_acknowledges() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &SOON).await;
    let never = Seen::refusing("x", usize::MAX);
    let subscribed = Subscribed::to(&*broker, "t", never).await;
    publish(&broker, "t", "x").await.unwrap();
    let thrice = |texts: &[String]| texts.len() >= 3;
    subscribed.seen.until("it comes again", thrice).await;
    subscribed.end().await;
    assert_eq!(pending(&redis), 1);
}

#[tokio::test]
async fn what_is_handled_for_longer_than_the_timeout_stays_with_who_handles_it() {
    let redis = Redis::start().await;
    let settings = [("processingTimeout", "3s"), ("redeliverInterval", "100")];
    let (one, other) = (
        broker(&redis, &settings).await,
        broker(&redis, &settings).await,
    );
    let gate = Arc::new(Semaphore::new(0));
    let first = Subscribed::to(&*one, "t", Seen::behind(&gate)).await;
    publish(&one, "t", "long").await.unwrap();
    first.seen.until("it", |texts| texts == ["long"]).await;
    // What became pending later than that is taken over, so that the long one was due before.
    redis.command(&["EVAL", READ_AT_ONCE, "1", "t"]);
    let second = Subscribed::to(&*other, "t", Seen::default()).await;
    let seen = [&first.seen, &second.seen];
    eventually("the later one is taken over", async || {
        let texts: Vec<_> = seen.iter().flat_map(|seen| seen.texts()).collect();
        let taken = texts.iter().any(|text| text == "later");
        taken.then_some(()).ok_or(format!("{texts:?}"))
    })
    .await;
    gate.add_permits(1);
    let texts = seen.map(|seen| seen.texts()).concat();
    let long = texts.iter().filter(|text| *text == "long").count();
    assert_eq!(long, 1, "{texts:?}");
    first.end().await;
    second.end().await;
    assert_eq!(pending(&redis), 0);
}

#[tokio::test]
async fn a_consumer_is_gone_once_it_has_ended() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[]).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    publish(&broker, "t", "x").await.unwrap();
    subscribed.seen.until("it", |texts| texts == ["x"]).await;
    assert!(
        consumers(&redis).contains("\napp-"),
        "it has a name of its own"
    );
    subscribed.end().await;
    assert_eq!(consumers(&redis), "");
}

#[tokio::test]
async fn a_consumer_that_leaves_something_behind_stays() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[]).await;
    let never = Seen::refusing("x", usize::MAX);
    let subscribed = Subscribed::to(&*broker, "t", never).await;
    publish(&broker, "t", "x").await.unwrap();
    subscribed.seen.until("it", |texts| texts == ["x"]).await;
    subscribed.end().await;
    assert!(consumers(&redis).contains("\napp-"));
    assert_eq!(pending(&redis), 1);
}

/// Nobody waits for an hour.
#[tokio::test]
async fn what_waits_in_a_replica_that_ends_is_taken_over_at_once() {
    let redis = Redis::start().await;
    let settings = [
        ("processingTimeout", "1h"),
        ("redeliverInterval", "100"),
        ("concurrency", "1"),
    ];
    let (one, other) = (
        broker(&redis, &settings).await,
        broker(&redis, &settings).await,
    );
    let gate = Arc::new(Semaphore::new(0));
    let first = Subscribed::to(&*one, "t", Seen::behind(&gate)).await;
    for text in ["1", "2", "3"] {
        publish(&one, "t", text).await.unwrap();
    }
    first.seen.until("one", |texts| texts == ["1"]).await;
    until_pending(&redis, 3).await;
    first.stop();
    let second = Subscribed::to(&*other, "t", Seen::default()).await;
    second
        .seen
        .until("the others", |texts| texts == ["2", "3"])
        .await;
    gate.add_permits(1);
    first.end().await;
    second.end().await;
    assert_eq!(pending(&redis), 0);
}

#[tokio::test]
async fn what_is_held_is_bounded() {
    let redis = Redis::start().await;
    let broker = broker(&redis, &[("queueDepth", "5"), ("concurrency", "2")]).await;
    let gate = Arc::new(Semaphore::new(0));
    let subscribed = Subscribed::to(&*broker, "t", Seen::behind(&gate)).await;
    for number in 0..30 {
        publish(&broker, "t", &number.to_string()).await.unwrap();
    }
    until_pending(&redis, 7).await;
    assert_eq!(subscribed.seen.texts().len(), 2);
    gate.add_permits(2);
    subscribed
        .seen
        .until("all", |texts| texts.len() == 30)
        .await;
    subscribed.end().await;
    assert_eq!(pending(&redis), 0);
}

#[tokio::test]
async fn what_was_removed_from_the_stream_is_settled() {
    let redis = Redis::start().await;
    redis.command(&["XGROUP", "CREATE", "t", "app", "0", "MKSTREAM"]);
    let gone = redis.command(&["XADD", "t", "*", "data", "gone"]);
    redis.command(&["XADD", "t", "*", "data", "left"]);
    read_and_die(&redis);
    redis.command(&["XDEL", "t", &gone]);
    let broker = broker(&redis, &SOON).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    subscribed.seen.until("it", |texts| texts == ["left"]).await;
    until_pending(&redis, 0).await;
    subscribed.end().await;
}

/// More than one command looks at, and none of the first can be taken.
#[tokio::test]
async fn what_is_due_is_found_behind_much_that_is_not() {
    let redis = Redis::start().await;
    redis.command(&["XGROUP", "CREATE", "t", "app", "0", "MKSTREAM"]);
    let add = "for i = 1, 250 do redis.call('XADD', KEYS[1], '*', 'data', i) end";
    redis.command(&["EVAL", add, "1", "t"]);
    read_and_die(&redis);
    let last = redis.command(&["XREVRANGE", "t", "+", "-", "COUNT", "1"]);
    let last = last.lines().next().expect("it has an id");
    let idle = [
        "XCLAIM", "t", "app", "dead", "0", last, "IDLE", "7200000", "JUSTID",
    ];
    redis.command(&idle);
    let settings = [("processingTimeout", "1h"), ("redeliverInterval", "100")];
    let broker = broker(&redis, &settings).await;
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    subscribed.seen.until("it", |texts| texts == ["250"]).await;
    subscribed.end().await;
}
