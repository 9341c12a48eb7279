//! Values as upstream keeps them.

use std::time::Duration;

use trilby_components::state::{GetRequest, StateError, Ttl};
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{binary, create, item, open, value};

#[tokio::test]
async fn the_first_version_keeps_bytes() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v1").await;
    store.set(binary("app||key", "one")).await.unwrap();
    assert_eq!(etcd.get("v1/app||key").await.unwrap(), b"one");
    etcd.put("v1/app||key", b"\x00two").await;
    assert_eq!(value(&store, "app||key").await.unwrap(), "\0two");
}

#[tokio::test]
async fn the_second_version_keeps_upstreams_message() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    let mut set = binary("app||key", "one");
    set.ttl = Some(Ttl::After(Duration::from_secs(100)));
    store.set(set).await.unwrap();
    let kept = etcd.get("v2/app||key").await.unwrap();
    assert_eq!(kept[..5], b"\x0a\x03one"[..], "field 1 is the value");
    assert_eq!(kept[kept.len() - 4..], b"\x1a\x02\x08\x64"[..], "field 3");
    assert!(etcd.has_lease("v2/app||key").await);
    // Written by upstream, without an expiry: it adds an empty one.
    etcd.put(
        "v2/app||key",
        b"\x0a\x03two\x12\x06\x08\x80\xa4\xa7\xda\x06\x1a\x00",
    )
    .await;
    let found = item(&store, "app||key").await.unwrap();
    assert_eq!((&found.value[..], found.expires_at), (&b"two"[..], None));
    // With one: a hundred seconds from 2027-01-15 on.
    etcd.put(
        "v2/app||key",
        b"\x0a\x03two\x12\x06\x08\x80\xa4\xa7\xda\x06\x1a\x02\x08\x64",
    )
    .await;
    let found = item(&store, "app||key").await.unwrap();
    assert_eq!(
        found.ttl_expire_time().as_deref(),
        Some("2027-01-15T08:01:40Z")
    );
}

#[tokio::test]
async fn what_is_no_value_is_an_error_that_names_the_key() {
    let etcd = Etcd::start().await;
    let store = open(&etcd, "v2").await;
    etcd.put("v2/plain", b"plain").await;
    let error = store.get(GetRequest::new("plain")).await.unwrap_err();
    assert!(
        matches!(&error, StateError::Store(text) if text.contains("plain")),
        "{error}"
    );
}

/// Upstream puts a slash after the path whatever it ends with.
#[tokio::test]
async fn the_path_is_upstreams() {
    let etcd = Etcd::start().await;
    let endpoint = etcd.address().to_string();
    for (path, kept) in [("", "/key"), ("a", "a/key"), ("/b/", "/b//key")] {
        let pairs = [("endpoints", endpoint.as_str()), ("keyPrefixPath", path)];
        let store = create("v1", &pairs).await.unwrap();
        store.set(binary("key", path.to_owned())).await.unwrap();
        assert_eq!(etcd.get(kept).await.unwrap(), path.as_bytes());
    }
}
