//! Keys and values at the edge of what the server can hold.

use trilby_components::conformance::state::limits;
use trilby_components::state::{DeleteRequest, GetRequest, Operation, StateError};
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{VERSIONS, binary, open, transact};

#[tokio::test]
async fn keys_and_values_may_be_odd_and_large() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let names = [("tablePrefix", "l_"), ("tableName", "l")];
        let store = open(&postgres, version, &names).await;
        limits::keys(&*store, &['\0']).await;
        limits::values(&*store).await;
        limits::transactions(&*store).await;
    }
}

#[tokio::test]
async fn a_nul_in_a_key_is_refused_by_every_call() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    let key = "a\0b";
    let operations = vec![Operation::Upsert(binary(key, "1"))];
    for refused in [
        store.set(binary(key, "1")).await,
        store.get(GetRequest::new(key)).await.map(drop),
        store.delete(DeleteRequest::new(key)).await,
        transact(&store, operations).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, StateError::InvalidRequest(text) if text.contains(r"a\0b")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let postgres = Postgres::start().await;
    let store = open(&postgres, "v2", &[]).await;
    // Nothing that could be compressed.
    let mut noise = 1_u32;
    let characters = (0..4_000).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (noise >> 24) as u8 % 90)
    });
    let key: String = characters.collect();
    let refused = store.set(binary(&key, "1")).await.unwrap_err();
    assert!(
        matches!(refused, StateError::InvalidRequest(_)),
        "{refused}"
    );
}
