//! What every state store owes its callers.

use trilby_components::conformance;
use trilby_components::state::{DeleteRequest, GetRequest, KeysLike, LikePattern};
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{binary, open, value};

#[tokio::test]
async fn it_is_a_state_store() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    conformance::state::run(&*store, "app").await;
    let definitions = trilby_components_mysql::definitions();
    assert_eq!(store.capabilities(), definitions[0].capabilities);
}

#[tokio::test]
async fn bulk_reads_answer_every_request() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    for number in 0..150 {
        store
            .set(binary(number.to_string(), number.to_string()))
            .await
            .unwrap();
    }
    // More than one query asks for, some of them twice, some in vain.
    let long = "x".repeat(256);
    let mut keys: Vec<String> = (0..150).rev().map(|number| number.to_string()).collect();
    keys.extend(["none".to_owned(), "7".to_owned(), long.clone()]);
    let requests = keys.iter().map(GetRequest::new).collect();
    for (key, answer) in keys.iter().zip(store.bulk_get(requests, 1).await) {
        assert_eq!(&answer.key, key);
        match answer.result {
            Err(error) => assert!(*key == long && error.is_final(), "{key}: {error}"),
            Ok(None) => assert_eq!(key, "none"),
            Ok(Some(item)) => assert_eq!(item.value, key.as_bytes()),
        }
    }
    assert!(store.bulk_get(Vec::new(), 1).await.is_empty());
}

#[tokio::test]
async fn keys_are_listed_in_the_order_they_came() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    for key in ["c", "a", "B", "b", "d"] {
        store.set(binary(key, "1")).await.unwrap();
    }
    // Written again, it stays where it is: upstream's would come again.
    store.set(binary("c", "2")).await.unwrap();
    let listing = store.key_listing().unwrap();
    let mut request = KeysLike::new(LikePattern::parse("_").unwrap());
    request.page_size = Some(2);
    let first = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!(first.keys, ["c", "a"]);
    request.token = first.next;
    store.delete(DeleteRequest::new("a")).await.unwrap();
    let second = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!(second.keys, ["B", "b"]);
    request.token = second.next;
    let third = listing.keys_like(request.clone()).await.unwrap();
    assert_eq!((third.keys, third.next), (vec!["d".to_owned()], None));
    request.token = Some("second".to_owned());
    let refused = listing.keys_like(request).await.unwrap_err();
    assert!(refused.is_final(), "{refused}");
}

#[tokio::test]
async fn values_stay_when_the_store_is_closed_and_opened_again() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    store.set(binary("key", "1")).await.unwrap();
    store.close().await;
    let closed = store.get(GetRequest::new("key")).await.unwrap_err();
    assert!(
        closed.to_string().contains("the component was closed"),
        "{closed}"
    );
    let again = open(&mariadb, &[]).await;
    assert_eq!(value(&again, "key").await.as_deref(), Some(&b"1"[..]));
}
