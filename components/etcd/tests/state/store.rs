//! What every state store owes its callers, and what upstream's etcd store does not keep.

use std::time::Duration;

use trilby_components::conformance;
use trilby_components::state::{
    Concurrency, DeleteRequest, KeysLike, LikePattern, Operation, StateError, Ttl,
};
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{VERSIONS, binary, create, etag, is_mismatch, item, open, transact, value};

#[tokio::test]
async fn both_versions_are_state_stores() {
    let etcd = Etcd::start().await;
    let definitions = trilby_components_etcd::definitions();
    for (version, definition) in VERSIONS.iter().zip(definitions) {
        let store = open(&etcd, version).await;
        conformance::state::run(&*store, "app").await;
        assert_eq!(store.capabilities(), definition.capabilities);
    }
}

#[tokio::test]
async fn the_default_version_is_the_first() {
    let etcd = Etcd::start().await;
    let endpoint = etcd.address().to_string();
    let store = create("", &[("endpoints", &endpoint)]).await.unwrap();
    store.set(binary("key", "plain")).await.unwrap();
    assert_eq!(etcd.get("/key").await.as_deref(), Some(&b"plain"[..]));
    let unknown = create("v3", &[("endpoints", &endpoint)]).await;
    assert!(unknown.is_err());
}

/// Upstream compares and forgets to look at the result.
#[tokio::test]
async fn a_lost_race_is_told() {
    let etcd = Etcd::start().await;
    for version in VERSIONS {
        let store = open(&etcd, version).await;
        let mut create = binary("race", "1");
        create.options.concurrency = Concurrency::FirstWrite;
        let writes = (0..16).map(|_| create.clone()).collect();
        let created = store.bulk_set(writes).await;
        let done = created.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "{created:?}");
        assert_eq!(created.iter().filter(|one| is_mismatch(one)).count(), 15);
    }
}

/// Upstream takes it for the etag of a key that is not there.
#[tokio::test]
async fn an_empty_etag_is_none() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    for text in ["1", "2"] {
        let mut set = binary("key", text);
        set.etag = Some(String::new());
        store.set(set).await.unwrap();
        assert_eq!(value(&store, "key").await.unwrap(), text);
    }
    let mut delete = DeleteRequest::new("key");
    delete.etag = Some(String::new());
    store.delete(delete).await.unwrap();
    assert_eq!(value(&store, "key").await, None);
}

#[tokio::test]
async fn refusals_say_what_was_found() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v1").await;
    store.set(binary("a", "1")).await.unwrap();
    let current = etag(&store, "a").await;
    let text = |key: &str, etag: &str| {
        let mut set = binary(key, "2");
        set.etag = Some(etag.to_owned());
        set
    };
    let stale = store.set(text("a", "999")).await.unwrap_err();
    assert_eq!(
        stale,
        StateError::EtagMismatch(format!(
            "state etag not match for key=a: current={current}, expect=999"
        ))
    );
    let absent = StateError::EtagMismatch("state not exist or expired for key=b".to_owned());
    assert_eq!(store.set(text("b", "999")).await, Err(absent.clone()));
    let mut delete = DeleteRequest::new("b");
    delete.etag = Some("999".to_owned());
    assert_eq!(store.delete(delete).await, Err(absent.clone()));
    let operations = [
        Operation::Upsert(text("a", &current)),
        Operation::Upsert(text("b", "999")),
    ];
    assert_eq!(transact(&store, operations).await, Err(absent));
    for wrong in ["0", "-1", "x"] {
        let refused = store.set(text("a", wrong)).await.unwrap_err();
        assert!(matches!(refused, StateError::EtagInvalid(_)), "{refused}");
    }
    assert_eq!(value(&store, "a").await.unwrap(), "1");
}

/// Upstream carries out the operations whose etags hold, and says that all were.
#[tokio::test]
async fn a_transaction_with_one_stale_etag_is_wholly_refused() {
    let etcd = Etcd::start().await;
    for version in VERSIONS {
        let store = open(&etcd, version).await;
        for key in ["a", "b"] {
            store.set(binary(key, "1")).await.unwrap();
        }
        let guarded = async |key: &str| {
            let mut set = binary(key, "2");
            set.etag = Some(etag(&store, key).await);
            Operation::Upsert(set)
        };
        let operations = [guarded("a").await, guarded("b").await];
        store.set(binary("b", "3")).await.unwrap();
        let refused = transact(&store, operations).await;
        assert!(is_mismatch(&refused), "{refused:?}");
        assert_eq!(value(&store, "a").await.unwrap(), "1");
        assert_eq!(value(&store, "b").await.unwrap(), "3");
    }
}

/// Upstream's v2 says of every value that it expired when it was written; in both versions no expiry is an error.
#[tokio::test]
async fn no_expiry_is_none() {
    let etcd = Etcd::start().await;
    for version in VERSIONS {
        let store = open(&etcd, version).await;
        for ttl in [None, Some(Ttl::Never)] {
            let mut set = binary("key", "1");
            set.ttl = ttl;
            store.set(set).await.unwrap();
            assert_eq!(item(&store, "key").await.unwrap().expires_at, None);
            assert!(!etcd.has_lease(&format!("{version}/key")).await);
        }
    }
    assert_eq!(etcd.leases().await, 0);
}

#[tokio::test]
async fn values_of_one_transaction_share_a_lease_and_a_refused_one_leaves_none() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    let lasting = |key: &str, seconds| {
        let mut set = binary(key, "1");
        set.ttl = Some(Ttl::After(Duration::from_secs(seconds)));
        set
    };
    let operations = [("a", 100), ("b", 100), ("c", 200)];
    let operations = operations.map(|(key, seconds)| Operation::Upsert(lasting(key, seconds)));
    transact(&store, operations).await.unwrap();
    assert_eq!(etcd.leases().await, 2);
    let mut stale = lasting("a", 300);
    stale.etag = Some("1".to_owned());
    let refused = store.set(stale).await;
    assert!(is_mismatch(&refused), "{refused:?}");
    assert_eq!(etcd.leases().await, 2);
    assert!(etcd.has_lease("v2/a").await);
    let expiry = item(&store, "c").await.unwrap().expires_at;
    assert!(expiry.is_some());
}

#[tokio::test]
async fn keys_are_listed_beyond_one_read() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v1").await;
    // More than are read at once; and what is beside them.
    let mut keys: Vec<String> = (0..2_500)
        .map(|number| format!("list||{number:04}"))
        .collect();
    for part in keys.chunks(100) {
        let writes = part.iter().map(|key| Operation::Upsert(binary(key, "1")));
        transact(&store, writes).await.unwrap();
    }
    store.set(binary("lisu", "1")).await.unwrap();
    etcd.put("v1/list||\u{7f}", b"ours").await;
    etcd.put("v2/list||0", b"not ours").await;
    keys.push("list||\u{7f}".to_owned());
    let listing = store.key_listing().unwrap();
    let mut request = KeysLike::new(LikePattern::parse("list||%").unwrap());
    assert_eq!(listing.keys_like(request.clone()).await.unwrap().keys, keys);
    request.page_size = Some(700);
    let mut found = Vec::new();
    loop {
        let page = listing.keys_like(request.clone()).await.unwrap();
        found.extend(page.keys);
        request.token = page.next;
        if request.token.is_none() {
            break;
        }
    }
    assert_eq!(found, keys);
}
