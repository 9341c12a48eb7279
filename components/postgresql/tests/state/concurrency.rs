//! Writers that meet on the same keys.

use trilby_components::conformance;
use trilby_components::state::{Operation, StateError};
use trilby_testkit::servers::postgres::Postgres;

use crate::support::{Store, VERSIONS, binary, etag, open, transact, value};

/// Two sidecars of the same application.
async fn two(postgres: &Postgres, version: &str) -> [Store; 2] {
    let extra = [("tablePrefix", "c_"), ("tableName", "c")];
    [
        open(postgres, version, &extra).await,
        open(postgres, version, &extra).await,
    ]
}

#[tokio::test]
async fn two_sidecars_lose_nothing_and_never_wait_for_each_other() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let [one, other] = two(&postgres, version).await;
        conformance::state::run_two([&*one, &*other], version).await;
    }
    let deadlocks = "SELECT sum(deadlocks) FROM pg_stat_database";
    assert_eq!(postgres.sql(deadlocks), "0");
}

#[tokio::test]
async fn a_transaction_judges_all_etags_before_it_writes() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let [store, _] = two(&postgres, version).await;
        store.set(binary("a", "1")).await.unwrap();
        let mut again = binary("a", "3");
        again.etag = Some(etag(&store, "a").await);
        let operations = vec![
            Operation::Upsert(binary("a", "2")),
            Operation::Upsert(again.clone()),
        ];
        let done = transact(&store, operations);
        done.await.unwrap();
        assert_eq!(value(&store, "a").await.as_deref(), Some(&b"3"[..]));
        let operations = vec![
            Operation::Upsert(binary("b", "1")),
            Operation::Upsert(again),
        ];
        let late = transact(&store, operations);
        let late = late.await.unwrap_err();
        assert!(matches!(late, StateError::EtagMismatch(_)), "{late}");
        assert_eq!(value(&store, "b").await, None);
    }
}

/// Two sessions wait for each other, until the server ends one of them: ours begins anew, and is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_others_is_tried_again() {
    let postgres = Postgres::start().await;
    postgres.sql("ALTER SYSTEM SET deadlock_timeout = '50ms'");
    postgres.sql("SELECT pg_reload_conf()");
    let store = open(&postgres, "v2", &[]).await;
    for key in ["a", "b"] {
        store.set(binary(key, "0")).await.unwrap();
    }
    // They lock the keys in the other order, one after the other, for some time.
    let other = "BEGIN; SELECT 1 FROM state WHERE key = 'b' FOR UPDATE; SELECT pg_sleep(0.02);
                 SELECT 1 FROM state WHERE key = 'a' FOR UPDATE; COMMIT;";
    let address = postgres.address();
    let others = tokio::task::spawn_blocking(move || {
        let psql = trilby_testkit::programs::postgresql("psql").unwrap();
        let mut command = std::process::Command::new(psql);
        command.args([
            "-XqAt",
            "-h",
            "127.0.0.1",
            "-p",
            &address.port().to_string(),
        ]);
        command.args(["-U", trilby_testkit::servers::postgres::USER]);
        // Each part is a statement of its own, so that what fails does not end the rest.
        for _ in 0..30 {
            for statement in other.split(';') {
                command.args(["-c", statement]);
            }
        }
        command.output().unwrap()
    });
    while !others.is_finished() {
        let operations = ["a", "b"].map(|key| Operation::Upsert(binary(key, "1")));
        let done = transact(&store, operations);
        done.await.unwrap();
    }
    others.await.unwrap();
}
