use std::time::Duration;

use bytes::Bytes;
use tokio::time;

use super::InMemoryState;
use crate::{
    conformance,
    state::{DeleteRequest, GetRequest, SetRequest, StateError, StateStore, Ttl, Value},
};

fn set(key: &str) -> SetRequest {
    SetRequest::new(key, Value::Binary(Bytes::from_static(b"x")))
}

#[tokio::test]
async fn it_is_a_state_store() {
    conformance::state::run(&InMemoryState::default(), "app").await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_gone_and_swept() {
    let store = InMemoryState::default();
    let mut request = set("short");
    request.ttl = Some(Ttl::After(Duration::from_secs(2)));
    store.set(request).await.unwrap();
    time::advance(Duration::from_millis(1_999)).await;
    assert!(store.get(GetRequest::new("short")).await.unwrap().is_some());
    time::advance(Duration::from_millis(1)).await;
    store.set(set("other")).await.unwrap();
    assert!(!store.entries.lock().by_key.contains_key("short"));
    assert!(store.entries.lock().by_expiry.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_without_expiry_takes_an_earlier_one_back() {
    let store = InMemoryState::default();
    let mut request = set("key");
    request.ttl = Some(Ttl::After(Duration::from_secs(2)));
    store.set(request).await.unwrap();
    store.set(set("key")).await.unwrap();
    time::advance(Duration::from_secs(10)).await;
    let item = store.get(GetRequest::new("key")).await.unwrap().unwrap();
    assert_eq!(item.expires_at, None);
}

#[tokio::test]
async fn an_etag_on_a_missing_key_is_a_mismatch() {
    let store = InMemoryState::default();
    let mut write = set("absent");
    write.etag = Some("1".into());
    let mut delete = DeleteRequest::new("absent");
    delete.etag = Some("1".into());
    for result in [store.set(write).await, store.delete(delete).await] {
        assert_eq!(
            result.unwrap_err().to_string(),
            "possible etag mismatch. error from state store: state not exist or expired for key=absent"
        );
    }
}

#[tokio::test]
async fn an_endless_expiry_is_no_expiry() {
    let store = InMemoryState::default();
    let mut request = set("key");
    request.ttl = Some(Ttl::After(Duration::MAX));
    store.set(request).await.unwrap();
    let item = store.get(GetRequest::new("key")).await.unwrap().unwrap();
    assert_eq!(item.expires_at, None);
}

#[tokio::test]
async fn closing_drops_everything() {
    let store = InMemoryState::default();
    store.set(set("key")).await.unwrap();
    store.close().await;
    let read: Result<_, StateError> = store.get(GetRequest::new("key")).await;
    assert_eq!(read.unwrap(), None);
}

#[test]
fn the_store_can_do_what_its_definition_says() {
    let store: &dyn StateStore = &InMemoryState::default();
    assert_eq!(store.capabilities(), super::CAPABILITIES);
}
