//! `state.memcached` on real servers.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;
use trilby_components::conformance;
use trilby_components::conformance::state::calls::{self, Store, binary, is_unavailable, value};
use trilby_components::conformance::state::faults::{self, Turn};
use trilby_components::conformance::state::limits;
use trilby_components::registry::CreateError;
use trilby_components::state::{
    Concurrency, DeleteRequest, GetRequest, SetRequest, StateError, Ttl, Value,
};
use trilby_testkit::proxy::Proxy;
use trilby_testkit::servers::memcached::Memcached;

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A limit that no test is to meet.
const GENEROUS: (&str, &str) = ("timeout", "60000");

async fn create(hosts: &[SocketAddr], extra: &[(&str, &str)]) -> Result<Store, CreateError> {
    let hosts: Vec<String> = hosts.iter().map(SocketAddr::to_string).collect();
    let hosts = hosts.join(",");
    let mut pairs = vec![("hosts", hosts.as_str())];
    pairs.extend_from_slice(extra);
    let backends = trilby_components_memcached::backends();
    calls::create(backends, ("state.memcached", "v1"), &pairs).await
}

async fn open(memcached: &Memcached) -> Store {
    let created = create(&[memcached.address()], &[GENEROUS]).await;
    created.expect("memcached runs")
}

#[tokio::test]
async fn it_is_a_state_store() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    conformance::state::run(&*store, "app").await;
    assert_eq!(
        store.capabilities(),
        trilby_components_memcached::definitions()[0].capabilities
    );
}

#[tokio::test]
async fn several_are_a_state_store_and_share_keys_as_upstream_does() {
    let servers = [Memcached::start().await, Memcached::start().await];
    let addresses = servers.each_ref().map(Memcached::address);
    let store = create(&addresses, &[GENEROUS]).await.unwrap();
    conformance::state::run(&*store, "app").await;
    // CRC-32 of the key, modulo two.
    for (key, place) in [("a", 1), ("b", 1), ("e", 0), ("app||key", 1)] {
        store.set(binary(key, "x")).await.unwrap();
        let command = format!("get {key}");
        let expected = [format!("VALUE {key} 0 1"), "x".into(), "END".into()];
        assert_eq!(servers[place].command(&command, 3), expected);
        assert_eq!(servers[1 - place].command(&command, 1), ["END"]);
    }
}

#[tokio::test]
async fn the_layout_is_upstreams() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    let mut json = SetRequest::new("app||key", Value::Json("\"one\"".into()));
    json.ttl = Some(Ttl::Never);
    store.set(json).await.unwrap();
    assert_eq!(
        memcached.command("get app||key", 3),
        ["VALUE app||key 0 5", "\"one\"", "END"]
    );
    memcached.command("set app||key 0 100 3\r\ntwo", 1);
    assert_eq!(
        value(&store, "app||key").await.as_deref(),
        Some(&b"two"[..])
    );
}

/// A month and more goes over the wire as a moment: taken for a number of seconds it would last decades, or end at once.
#[tokio::test]
async fn an_expiry_may_be_far_away() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    for (days, key) in [(29, "a"), (30, "b"), (400, "c")] {
        let seconds = days * 24 * 60 * 60;
        let mut set = binary(key, "x");
        set.ttl = Some(Ttl::After(Duration::from_secs(seconds)));
        store.set(set).await.unwrap();
        // The remaining time, as the server counts it.
        let answer = memcached.command(&format!("mg {key} t"), 1).remove(0);
        let left: u64 = answer.strip_prefix("HD t").unwrap().parse().unwrap();
        assert!(
            (seconds - 3600..=seconds + 1).contains(&left),
            "{days} days: {left} s"
        );
    }
}

/// As upstream's: there is no etag that it could compare with.
#[tokio::test]
async fn etags_and_first_write_have_no_effect() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    store.set(binary("key", "1")).await.unwrap();
    let mut create = binary("key", "2");
    create.options.concurrency = Concurrency::FirstWrite;
    store.set(create).await.unwrap();
    let mut guarded = binary("key", "3");
    guarded.etag = Some("7".into());
    store.set(guarded).await.unwrap();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"3"[..]));
    let mut delete = DeleteRequest::new("key");
    delete.etag = Some("7".into());
    store.delete(delete).await.unwrap();
    assert_eq!(value(&store, "key").await, None);
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_by_every_call() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    store.set(binary("fine", "1")).await.unwrap();
    let long = "k".repeat(251);
    for key in ["a b", "a\r\nflush_all", "", &long] {
        let reads = [GetRequest::new("fine"), GetRequest::new(key)].into();
        let mut reads = store.bulk_get(reads, 1).await.into_iter();
        assert!(reads.next().unwrap().result.unwrap().is_some());
        for refused in [
            store.set(binary(key, "1")).await,
            store.get(GetRequest::new(key)).await.map(drop),
            store.delete(DeleteRequest::new(key)).await,
            reads.next().unwrap().result.map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(
                matches!(&refused, StateError::InvalidRequest(_)),
                "{refused}"
            );
        }
    }
}

#[tokio::test]
async fn every_other_character_may_be_in_a_key() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    let characters = ('!'..='~').chain(['\u{80}', '\u{a0}', '\u{ff}', '\u{10ffff}', '👩']);
    let mut keys: Vec<String> = characters.map(String::from).collect();
    keys.push("k".repeat(250));
    let writes = keys.iter().map(|key| binary(key, key.clone())).collect();
    for written in store.bulk_set(writes).await {
        written.unwrap();
    }
    let requests = keys.iter().map(GetRequest::new).collect();
    for answer in store.bulk_get(requests, 8).await {
        let item = answer.result.unwrap().unwrap();
        assert_eq!(item.value, answer.key.as_bytes(), "{:?}", answer.key);
    }
}

#[tokio::test]
async fn a_value_may_be_as_large_as_the_server_lets_it() {
    let memcached = Memcached::with_arguments(&["-I", "32m", "-m", "256"]).await;
    limits::values(&*open(&memcached).await).await;

    let ordinary = Memcached::start().await;
    let store = open(&ordinary).await;
    let large = store.set(binary("large", vec![b'x'; 10_000_000]));
    let refused = large.await.unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
    store.set(binary("key", "x")).await.unwrap();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"x"[..]));
}

/// Two sidecars and many writers: a value is always one that somebody wrote, whole.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_many_writers_stay_whole() {
    let memcached = Memcached::start().await;
    let stores = [open(&memcached).await, open(&memcached).await];
    stores[0]
        .set(binary("key", vec![b'a'; 10_000]))
        .await
        .unwrap();
    let workers = (0..8_u8).map(|number| {
        let store = stores[usize::from(number) % 2].clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                let written = binary("key", vec![b'a' + number; 10_000]);
                store.set(written).await.unwrap();
                let read = value(&store, "key").await.unwrap();
                assert_eq!(read.len(), 10_000);
                assert!(read.iter().all(|byte| *byte == read[0]));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_start_is_a_transient_error() {
    let (runs, away) = (Memcached::start().await, Memcached::stopped());
    let hosts = [runs.address(), away.address()];
    let creation = timeout(PATIENCE, create(&hosts, &[])).await;
    let error = creation.expect("it answers").err().expect("one is away");
    assert!(error.is_transient(), "{error}");
    let address = away.address().to_string();
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn it_heals_when_the_server_comes_back() {
    let mut memcached = Memcached::start().await;
    let store = open(&memcached).await;
    store.set(binary("key", "x")).await.unwrap();
    memcached.stop().await;
    for answer in store.bulk_set(vec![binary("key", "y"); 20]).await {
        assert!(is_unavailable(&answer), "{answer:?}");
    }
    let read = store.get(GetRequest::new("key")).await;
    assert!(is_unavailable(&read), "{read:?}");
    memcached.resume().await;
    assert_eq!(value(&store, "key").await, None, "it forgot");
    store.set(binary("key", "z")).await.unwrap();
    assert_eq!(value(&store, "key").await.as_deref(), Some(&b"z"[..]));
}

#[tokio::test]
async fn a_restart_between_two_requests_is_not_seen_by_reads() {
    let mut memcached = Memcached::start().await;
    let store = open(&memcached).await;
    for answer in store.bulk_set(vec![binary("key", "x"); 20]).await {
        answer.unwrap();
    }
    memcached.stop().await;
    memcached.resume().await;
    for answer in store.bulk_get(vec![GetRequest::new("key"); 20], 20).await {
        assert_eq!(answer.result, Ok(None));
    }
}

#[tokio::test]
async fn a_silent_server_costs_its_limit() {
    let memcached = Memcached::start().await;
    let proxy = Proxy::to(memcached.address()).await;
    let store = create(&[proxy.address()], &[("timeout", "1000")]).await;
    let store = store.unwrap();
    let silent = async |turn| match turn {
        Turn::Down => proxy.hold_up(),
        Turn::Up => proxy.open(),
    };
    faults::silence_costs_the_limit(&*store, "did not answer within 1s", silent).await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let memcached = Memcached::start().await;
    let store = open(&memcached).await;
    store.set(binary("key", "x")).await.unwrap();
    store.close().await;
    let error = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        error.to_string().contains("the component was closed"),
        "{error}"
    );
}
