//! `configuration.redis` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use trilby_components::configuration::{
    Beginning, Change, Changes, ConfigurationError, ConfigurationStore, Item,
};
use trilby_components::conformance::configuration::{Author, next, run, selection, until};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::{eventually::eventually, servers::redis::Redis};

type Store = Arc<dyn ConfigurationStore>;

async fn create(redis: &Redis, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let host = redis.address().to_string();
    let mut pairs = vec![("redisHost", host.as_str())];
    pairs.extend_from_slice(extra);
    let metadata = Metadata::new(pairs).unwrap();
    let registry = Registry::default().with(trilby_components_redis::backends());
    let context = ComponentContext::default();
    let created = registry.create("configuration.redis", "v1", context, metadata);
    match created.await? {
        Instance::Configuration(store) => Ok(store),
        other => panic!("not a configuration store: {other:?}"),
    }
}

async fn follow(store: &Store, keys: &[&str]) -> Changes {
    let changes = store.subscribe(&selection(keys), Beginning::New).await;
    changes.unwrap()
}

struct Cli<'a>(&'a Redis);

#[async_trait]
impl Author for Cli<'_> {
    async fn put(&self, key: &str, value: &str) {
        self.0.command(&["SET", key, value]);
    }

    async fn remove(&self, key: &str) {
        self.0.command(&["DEL", key]);
    }
}

#[tokio::test]
async fn it_is_a_configuration_store() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    run(&*store, &Cli(&redis)).await;
}

/// Upstream cuts a value at its first `||`.
#[tokio::test]
async fn the_layout_is_upstreams_and_values_keep_their_separators() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    for (key, stored) in [
        ("a", "v||3"),
        ("b", "x||y||z||4"),
        ("c", ""),
        ("e", "plain"),
    ] {
        redis.command(&["SET", key, stored]);
    }
    redis.command(&["RPUSH", "d", "no string"]);
    let wanted = [("a", "v", "3"), ("b", "x||y||z", "4"), ("e", "plain", "")];
    for keys in [&[][..], &["a", "b", "c", "d", "e", "f"]] {
        let items = store.get(&selection(keys)).await.unwrap();
        let found = items
            .iter()
            .map(|(key, item)| (key.as_str(), item.value.as_str(), item.version.as_str()));
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }
}

/// Upstream asks for `KEYS *`, which holds up everybody.
#[tokio::test]
async fn a_large_database_is_read_whole() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    let fill = "for i = 1, 5000 do redis.call('SET', 'key' .. i, 'v||' .. i) end";
    redis.command(&["EVAL", fill, "0"]);
    let items = store.get(&selection(&[])).await.unwrap();
    assert_eq!(
        (items.len(), items["key4999"].version.as_str()),
        (5_000, "4999")
    );
}

#[tokio::test]
async fn what_is_gone_or_has_expired_is_an_empty_item() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    redis.command(&["SET", "a", "x||1", "PX", "20"]);
    until(&mut changes, "a", "").await;
    redis.command(&["SET", "a", "y||2"]);
    assert_eq!(until(&mut changes, "a", "y").await.version, "2");
    redis.command(&["DEL", "a"]);
    assert_eq!(until(&mut changes, "a", "").await, Item::default());
}

/// Nothing is lost that is readable: the reader is told that it missed something.
#[tokio::test]
async fn a_subscription_goes_on_when_the_server_was_away() {
    let mut redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    let (mut some, mut all) = (follow(&store, &["a"]).await, follow(&store, &[]).await);
    redis.command(&["SET", "a", "before"]);
    until(&mut some, "a", "before").await;
    until(&mut all, "a", "before").await;
    for round in ["one", "two"] {
        redis.stop().await;
        redis.resume().await;
        redis.command(&["SET", "a", round]);
        for changes in [&mut some, &mut all] {
            while next(changes).await != Change::Missed {}
        }
        let items = store.get(&selection(&["a"])).await.unwrap();
        assert_eq!(items["a"].value, round);
        // The setting for announcements went with the server, and is made again.
        redis.command(&["SET", "a", "after"]);
        until(&mut some, "a", "after").await;
        until(&mut all, "a", "after").await;
    }
}

#[tokio::test]
async fn announcements_that_others_asked_for_stay() {
    let redis = Redis::start().await;
    redis.command(&["CONFIG", "SET", "notify-keyspace-events", "Eh"]);
    let store = create(&redis, &[]).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    let setting = redis.command(&["CONFIG", "GET", "notify-keyspace-events"]);
    for flag in "EhKg$xe".chars() {
        assert!(setting.lines().last().unwrap().contains(flag), "{setting}");
    }
    redis.command(&["SET", "a", "x"]);
    until(&mut changes, "a", "x").await;
}

/// A user who may not use CONFIG sees changes if somebody else has had them announced.
#[tokio::test]
async fn a_user_without_config_follows_what_is_announced() {
    let redis = Redis::start().await;
    let rules = [
        "ACL", "SETUSER", "app", "on", ">pass", "~*", "&*", "+@all", "-config",
    ];
    redis.command(&rules);
    redis.command(&["CONFIG", "SET", "notify-keyspace-events", "KA"]);
    let login = [("redisUsername", "app"), ("redisPassword", "pass")];
    let store = create(&redis, &login).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    redis.command(&["SET", "a", "x"]);
    until(&mut changes, "a", "x").await;
}

#[tokio::test]
async fn another_database_has_its_own_channels() {
    let redis = Redis::start().await;
    let store = create(&redis, &[("redisDB", "3")]).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    redis.command(&["SET", "a", "elsewhere"]);
    redis.command(&["-n", "3", "SET", "a", "here"]);
    let Change::Items(items) = next(&mut changes).await else {
        panic!("nothing was missed");
    };
    assert_eq!(items["a"].value, "here");
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let mut redis = Redis::start().await;
    let quick = [("redisMaxRetries", "-1")];
    let store = create(&redis, &quick).await.unwrap();
    redis.stop().await;
    let address = redis.address().to_string();
    let read = store.get(&selection(&["a"])).await.unwrap_err();
    let followed = store.subscribe(&selection(&["a"]), Beginning::New).await;
    for error in [read, followed.err().unwrap()] {
        assert!(
            matches!(error, ConfigurationError::Unavailable(_)),
            "{error:?}"
        );
        assert!(error.to_string().contains(&address), "{error}");
    }
    let error = create(&Redis::stopped(), &[]).await.err().unwrap();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_told_at_start() {
    let redis = Redis::with_password("right").await;
    for (password, accepted) in [("right", true), ("wrong", false)] {
        let created = create(&redis, &[("redisPassword", password)]).await;
        assert_eq!(created.is_ok(), accepted, "{password}");
    }
}

/// A subscription holds a connection of its own, and leaves nothing behind.
#[tokio::test]
async fn who_is_gone_holds_no_connection() {
    let redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    let subscribers = || redis.command(&["PUBSUB", "NUMSUB", "__keyspace@0__:a"]);
    let changes = follow(&store, &["a"]).await;
    assert!(subscribers().ends_with('1'), "{}", subscribers());
    drop(changes);
    eventually("the server knows", async || match subscribers() {
        told if told.ends_with('0') => Ok(()),
        told => Err(told),
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_ends_its_subscriptions_at_the_latest_when_they_are_lost() {
    let mut redis = Redis::start().await;
    let store = create(&redis, &[]).await.unwrap();
    let mut changes = follow(&store, &["a"]).await;
    store.close().await;
    redis.stop().await;
    assert_eq!(changes.next().await, None);
}
