//! Writers that meet on the same keys.

use trilby_components::state::{
    Concurrency, DeleteRequest, GetRequest, Operation, SetRequest, StateError, Value,
};
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

async fn count(store: &Store, key: &str) -> (u32, Option<String>) {
    let item = store.get(GetRequest::new(key)).await.unwrap().unwrap();
    let text = std::str::from_utf8(&item.value).unwrap();
    (text.parse().unwrap(), item.etag)
}

fn counted(key: &str, count: u32, etag: Option<String>) -> SetRequest {
    let mut set = SetRequest::new(key, Value::Binary(count.to_string().into()));
    set.etag = etag;
    set
}

/// Each adds to a counter by its etag, and tries again when it was too late.
async fn add(store: Store, times: u32) {
    let mut added = 0;
    while added < times {
        let (before, etag) = count(&store, "count").await;
        match store.set(counted("count", before + 1, etag)).await {
            Ok(()) => added += 1,
            Err(StateError::EtagMismatch(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_between_two_sidecars() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let stores = two(&postgres, version).await;
        stores[0].set(binary("count", "0")).await.unwrap();
        let adding = stores.iter().chain(&stores).cloned();
        let adding: Vec<_> = adding.map(|store| tokio::spawn(add(store, 50))).collect();
        for added in adding {
            added.await.unwrap();
        }
        assert_eq!(count(&stores[1], "count").await.0, 200, "{version}");
    }
}

/// Moves one from one account to the other, in a transaction that goes by the etags of both.
async fn transfer(store: Store, from: &'static str, to: &'static str, times: u32) {
    let mut moved = 0;
    while moved < times {
        let (left, left_etag) = count(&store, from).await;
        let (right, right_etag) = count(&store, to).await;
        let operations = vec![
            Operation::Upsert(counted(from, left - 1, left_etag)),
            Operation::Upsert(counted(to, right + 1, right_etag)),
        ];
        match transact(&store, operations).await {
            Ok(()) => moved += 1,
            Err(StateError::EtagMismatch(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_cross_lose_nothing_and_never_wait_for_each_other() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let [one, other] = two(&postgres, version).await;
        for account in ["a", "b"] {
            one.set(binary(account, "1000")).await.unwrap();
        }
        let there = tokio::spawn(transfer(one.clone(), "a", "b", 60));
        let back = tokio::spawn(transfer(other, "b", "a", 20));
        there.await.unwrap();
        back.await.unwrap();
        let sums = (count(&one, "a").await.0, count(&one, "b").await.0);
        assert_eq!(sums, (960, 1040), "{version}");
    }
    let deadlocks = "SELECT sum(deadlocks) FROM pg_stat_database";
    assert_eq!(postgres.sql(deadlocks), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_first_writers_one_comes_first() {
    let postgres = Postgres::start().await;
    for version in VERSIONS {
        let stores = two(&postgres, version).await;
        for round in 0..20 {
            let key = format!("first-{round}");
            let writers = (0..8_usize).map(|number| {
                let (store, key) = (stores[number % 2].clone(), key.clone());
                let mut create = binary(&key, number.to_string());
                create.options.concurrency = Concurrency::FirstWrite;
                // Half of them as a transaction that removes the key before.
                tokio::spawn(async move {
                    if number < 4 {
                        return store.set(create).await;
                    }
                    let operations = vec![
                        Operation::Delete(DeleteRequest::new(&key)),
                        Operation::Upsert(create),
                        Operation::Upsert(binary("beside", "1")),
                    ];
                    transact(&store, operations).await
                })
            });
            let mut first = 0;
            for writer in writers.collect::<Vec<_>>() {
                match writer.await.unwrap() {
                    Ok(()) => first += 1,
                    Err(StateError::EtagMismatch(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(first, 1, "{version}: {key}");
        }
    }
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
