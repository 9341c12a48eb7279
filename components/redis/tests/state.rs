//! `state.redis` on a real server.

use std::time::Duration;

use tokio::time::timeout;
use trilby_components::conformance::state::calls::{self, Store, binary, value};
use trilby_components::conformance::state::faults::{self, Turn};
use trilby_components::conformance::state::limits;
use trilby_components::{
    RequestMetadata, conformance,
    registry::CreateError,
    state::{
        Concurrency, Consistency, DeleteRequest, GetRequest, Operation, StateError, StateStore, Ttl,
    },
};
use trilby_testkit::{eventually::eventually, proxy::Proxy, servers::redis::Redis};

async fn create(redis: &Redis, extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let host = redis.address().to_string();
    let mut pairs = vec![("redisHost", host.as_str())];
    pairs.extend_from_slice(extra);
    at(&pairs).await
}

async fn at(pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_redis::backends();
    calls::create(backends, ("state.redis", "v1"), pairs).await
}

async fn connect(redis: &Redis) -> Store {
    create(redis, &[]).await.expect("redis runs")
}

#[tokio::test]
async fn it_is_a_state_store() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    conformance::state::run(&*store, "app").await;
    assert_eq!(
        store.capabilities(),
        ["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"]
    );
}

#[tokio::test]
async fn the_layout_is_upstreams() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    store.set(binary("app||key", "one")).await.unwrap();
    assert_eq!(
        redis.command(&["HGETALL", "app||key"]),
        "data\none\nversion\n1"
    );
    let mut first = binary("app||key", "two");
    first.etag = Some("1".into());
    first.options.concurrency = Concurrency::FirstWrite;
    first.ttl = Some(Ttl::After(Duration::from_secs(100)));
    store.set(first).await.unwrap();
    assert_eq!(
        redis.command(&["HGETALL", "app||key"]),
        "data\ntwo\nversion\n2\nfirst-write\n0"
    );
    let left: u32 = redis.command(&["TTL", "app||key"]).parse().unwrap();
    assert!((90..=100).contains(&left), "{left}");
}

#[tokio::test]
async fn what_upstream_wrote_is_read_and_guarded() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    redis.command(&["HSET", "k", "data", "v", "version", "7", "first-write", "0"]);
    let item = store.get(GetRequest::new("k")).await.unwrap().unwrap();
    assert_eq!(
        (&item.value[..], item.etag.as_deref()),
        (&b"v"[..], Some("7"))
    );
    assert_eq!(
        store.set(binary("k", "x")).await.unwrap_err().to_string(),
        "possible etag mismatch. error from state store: failed to set key k: it was written \
         first-write and no etag was passed"
    );
}

#[tokio::test]
async fn a_plain_string_is_a_value_without_etag() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    redis.command(&["SET", "legacy", "old"]);
    let item = store.get(GetRequest::new("legacy")).await.unwrap().unwrap();
    assert_eq!((&item.value[..], item.etag), (&b"old"[..], None));
    store.set(binary("legacy", "new")).await.unwrap();
    assert_eq!(redis.command(&["HGET", "legacy", "version"]), "1");
}

#[tokio::test]
async fn what_is_not_a_value_is_an_error_that_names_the_key() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    redis.command(&["HSET", "half", "data", "v"]);
    let error = store.get(GetRequest::new("half")).await.unwrap_err();
    assert!(matches!(error, StateError::Store(_)), "{error:?}");
    assert!(error.to_string().contains("\"half\""), "{error}");
    redis.command(&["RPUSH", "list", "v"]);
    let error = store.get(GetRequest::new("list")).await.unwrap_err();
    assert!(matches!(error, StateError::Store(_)), "{error:?}");
}

#[tokio::test]
async fn etags_on_missing_keys_refuse_writes_and_allow_deletes() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    let mut write = binary("absent", "x");
    write.etag = Some("1".into());
    let refused = store.set(write.clone()).await.unwrap_err();
    assert!(matches!(refused, StateError::EtagMismatch(_)), "{refused}");
    let mut delete = DeleteRequest::new("absent");
    delete.etag = Some("1".into());
    store.delete(delete).await.unwrap();
    write.etag = Some("one".into());
    let invalid = store.set(write).await.unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "invalid etag value: \"one\" is not a version number"
    );
}

#[tokio::test]
async fn the_component_may_set_an_expiry_for_all() {
    let redis = Redis::start().await;
    let store = create(&redis, &[("ttlInSeconds", "100")]).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    assert_ne!(redis.command(&["TTL", "key"]), "-1");
    let mut forever = binary("key", "x");
    forever.ttl = Some(Ttl::Never);
    store.set(forever).await.unwrap();
    assert_eq!(redis.command(&["TTL", "key"]), "-1");
}

#[tokio::test]
async fn a_refused_transaction_says_which_key() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    store.set(binary("b", "x")).await.unwrap();
    let mut guarded = binary("b", "y");
    guarded.etag = Some("9".into());
    let transactional = store.transactional().unwrap();
    let operations = vec![
        Operation::Upsert(binary("a", "y")),
        Operation::Upsert(guarded),
    ];
    let refused = transactional
        .transact(operations, &RequestMetadata::new())
        .await
        .unwrap_err();
    assert_eq!(
        refused,
        StateError::EtagMismatch("failed to set key b: its version is 1".into())
    );
    assert_eq!(value(&store, "a").await, None);
}

#[tokio::test]
async fn a_strongly_consistent_write_needs_no_replica() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    let mut write = binary("key", "x");
    write.options.consistency = Consistency::Strong;
    store.set(write).await.unwrap();
}

#[tokio::test]
async fn the_password_is_checked_at_start() {
    let redis = Redis::with_password("right").await;
    let accepted = create(&redis, &[("redisPassword", "right")]).await.unwrap();
    accepted.set(binary("key", "x")).await.unwrap();
    for wrong in [&[][..], &[("redisPassword", "wrong")]] {
        let Err(error) = create(&redis, wrong).await else {
            panic!("{wrong:?} was accepted");
        };
        assert!(error.is_transient(), "{error}");
        let expected = format!(
            "redis store: error connecting to redis at {}: ",
            redis.address()
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let redis = Redis::stopped();
    let creation = timeout(Duration::from_secs(5), create(&redis, &[])).await;
    let Err(error) = creation.expect("it answers at once") else {
        panic!("there is no server");
    };
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut redis = Redis::start().await;
    let extra = [
        ("redisMinRetryInterval", "1"),
        ("redisMaxRetryInterval", "5"),
    ];
    let store = create(&redis, &extra).await.unwrap();
    store.set(binary("key", "x")).await.unwrap();
    redis.stop().await;
    let reads = futures(&*store, 20).await;
    for read in reads {
        let error = read.unwrap_err();
        assert!(matches!(error, StateError::Unavailable(_)), "{error:?}");
        assert!(
            error.to_string().contains(&redis.address().to_string()),
            "{error}"
        );
    }
    redis.resume().await;
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn a_restart_between_two_commands_is_not_seen() {
    let mut redis = Redis::start().await;
    let store = connect(&redis).await;
    store.set(binary("key", "x")).await.unwrap();
    redis.stop().await;
    redis.resume().await;
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
}

/// With what makes a server write every command down before it answers.
#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::with(&durable).await;
    let store = create(&redis, &[("redisMaxRetries", "-1")]).await.unwrap();
    faults::what_was_acknowledged_outlives_a_crash(&*store, async |turn| match turn {
        Turn::Down => redis.crash().await,
        Turn::Up => redis.resume().await,
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.address()).await;
    let host = proxy.address().to_string();
    let pairs = [
        ("redisHost", host.as_str()),
        ("readTimeout", "1s"),
        ("dialTimeout", "1s"),
        ("redisMaxRetries", "-1"),
    ];
    let store = at(&pairs).await.unwrap();
    let silent = async |turn| match turn {
        Turn::Down => proxy.hold_up(),
        Turn::Up => proxy.open(),
    };
    faults::silence_costs_the_limit(&*store, &host, silent).await;
}

#[tokio::test]
async fn keys_and_values_may_be_odd_and_large() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    limits::keys(&*store, &[]).await;
    limits::values(&*store).await;
    limits::transactions(&*store).await;
}

#[tokio::test]
async fn two_sidecars_lose_nothing() {
    let redis = Redis::start().await;
    let (one, other) = (connect(&redis).await, connect(&redis).await);
    conformance::state::run_two([&*one, &*other], "meeting").await;
}

#[tokio::test]
async fn a_login_that_failed_is_tried_again() {
    let mut redis = Redis::with_password("old").await;
    let extra = [("redisPassword", "old"), ("redisMaxRetries", "-1")];
    let store = create(&redis, &extra).await.unwrap();
    redis.change_password("new");
    redis.stop().await;
    redis.resume().await;
    eventually("the old password is refused", async || {
        match store.get(GetRequest::new("key")).await {
            Err(error) if error.to_string().contains("authentication failed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    redis.change_password("old");
    assert_eq!(value(&store, "key").await, None);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let redis = Redis::start().await;
    let store = connect(&redis).await;
    store.close().await;
    let error = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        error.to_string().contains("the component was closed"),
        "{error}"
    );
}

/// Reads at once.
async fn futures(
    store: &dyn StateStore,
    count: usize,
) -> Vec<Result<Option<trilby_components::state::Item>, StateError>> {
    let requests = vec![GetRequest::new("key"); count];
    let answers = store.bulk_get(requests, count).await;
    answers.into_iter().map(|answer| answer.result).collect()
}
