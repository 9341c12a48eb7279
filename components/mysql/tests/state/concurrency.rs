//! Writers that meet on the same keys.

use trilby_components::conformance;
use trilby_components::state::{Operation, StateError};
use trilby_testkit::servers::mariadb::Mariadb;

use crate::support::{binary, open, sql, transact, value};

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_two_sidecars_lose_nothing() {
    let mariadb = Mariadb::start().await;
    let (one, other) = (open(&mariadb, &[]).await, open(&mariadb, &[]).await);
    conformance::state::run_two([&*one, &*other], "app").await;
}

/// Somebody else holds a row that a transaction wants, until the server gives up waiting: again and again.
#[tokio::test]
async fn a_lock_that_is_not_given_is_a_conflict_and_leaves_nothing() {
    let mariadb = Mariadb::start().await;
    let store = open(&mariadb, &[]).await;
    store.set(binary("b", "0")).await.unwrap();
    let string = format!(
        "root@tcp({})/?innodb_lock_wait_timeout=0",
        mariadb.address()
    );
    let hasty = crate::support::create(&[("connectionString", &string)])
        .await
        .unwrap();
    let other = mariadb
        .session("USE dapr_state_store; BEGIN; SELECT id FROM state WHERE id = 'b' FOR UPDATE")
        .await;
    let both = || ["a", "b"].map(|key| Operation::Upsert(binary(key, "1")));
    let refused = transact(&hasty, both()).await.unwrap_err();
    assert!(matches!(refused, StateError::Conflict(_)), "{refused}");
    assert_eq!(value(&store, "a").await, None);
    drop(other);
    transact(&hasty, both()).await.unwrap();
    assert_eq!(value(&store, "a").await.as_deref(), Some(&b"1"[..]));
}

/// Two sessions wait for each other, until the server ends one of them: ours begins anew, and is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_others_is_tried_again() {
    let mariadb = std::sync::Arc::new(Mariadb::start().await);
    let store = open(&mariadb, &[]).await;
    for key in ["a", "b"] {
        store.set(binary(key, "0")).await.unwrap();
    }
    sql(&mariadb, "CREATE TABLE weight (n int)");
    // They lock the keys in the other order, one after the other, for some time. Who has written more is spared.
    let round = "BEGIN; INSERT INTO weight (n) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12);
                 SELECT id FROM state WHERE id = 'b' FOR UPDATE; SELECT SLEEP(0.02);
                 SELECT id FROM state WHERE id = 'a' FOR UPDATE; COMMIT;";
    let others = std::sync::Arc::clone(&mariadb);
    let others = tokio::task::spawn_blocking(move || {
        for _ in 0..10 {
            sql(&others, &round.repeat(3));
        }
    });
    while !others.is_finished() {
        let operations = ["a", "b"].map(|key| Operation::Upsert(binary(key, "1")));
        transact(&store, operations).await.unwrap();
    }
    others.await.unwrap();
    let deadlocks = mariadb.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'");
    assert_ne!(deadlocks, "Innodb_deadlocks\t0", "the test made none");
}
