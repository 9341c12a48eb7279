//! Writers that meet on the same keys: what they were told adds up to what is there.

use futures_util::future::join_all;

use crate::{
    RequestMetadata,
    state::{
        Concurrency, DeleteRequest, GetRequest, Operation, SetRequest, StateError, StateStore,
        Value,
    },
};

/// Writers that meet on a counter, and how often each adds to it.
const WRITERS: usize = 4;
const ADDITIONS: u64 = 50;
/// What is on each of two accounts, and how often it is moved there and back.
const SUM: u64 = 1_000;
const THERE: u64 = 60;
const BACK: u64 = 20;
/// Keys that many want to create at once, and how many those are.
const CREATIONS: usize = 20;
const CREATORS: usize = 8;

/// Runs every rule of writers that meet, on keys that start with `prefix`: two sidecars of one application, on one store
/// with etags and transactions.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run_two(stores: [&dyn StateStore; 2], prefix: &str) {
    let meeting = Meeting { stores, prefix };
    meeting.no_update_is_lost().await;
    meeting.transactions_that_cross_lose_nothing().await;
    meeting.of_many_first_writers_one_comes_first().await;
}

struct Meeting<'a> {
    stores: [&'a dyn StateStore; 2],
    prefix: &'a str,
}

/// A number and the etag it was read with.
struct Count {
    number: u64,
    etag: Option<String>,
}

impl Meeting<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}||{name}", self.prefix)
    }

    async fn read(&self, store: usize, name: &str) -> Count {
        let read = self.stores[store]
            .get(GetRequest::new(self.key(name)))
            .await;
        let item = read.expect("reads succeed").expect("the key was written");
        let text = std::str::from_utf8(&item.value).expect("it is a number");
        Count {
            number: text.parse().expect("it is a number"),
            etag: item.etag,
        }
    }

    fn write(&self, name: &str, number: u64, etag: Option<String>) -> SetRequest {
        let value = Value::Binary(number.to_string().into());
        let mut set = SetRequest::new(self.key(name), value);
        set.etag = etag;
        set
    }

    async fn begin(&self, name: &str, number: u64) {
        let written = self.stores[0].set(self.write(name, number, None)).await;
        written.expect("the write succeeds");
    }

    async fn transact(&self, store: usize, operations: Vec<Operation>) -> Result<(), StateError> {
        let transactional = self.stores[store].transactional();
        let transactional = transactional.expect("the store has transactions");
        transactional
            .transact(operations, &RequestMetadata::new())
            .await
    }

    /// Each adds by the etag it read, and tries again when it was too late.
    async fn no_update_is_lost(&self) {
        self.begin("count", 0).await;
        join_all((0..WRITERS).map(async |writer| {
            let store = writer % 2;
            let mut added = 0;
            while added < ADDITIONS {
                let before = self.read(store, "count").await;
                let write = self.write("count", before.number + 1, before.etag);
                added += u64::from(came_first(self.stores[store].set(write).await));
            }
        }))
        .await;
        let sum = self.read(1, "count").await.number;
        assert_eq!(sum, WRITERS as u64 * ADDITIONS, "what was acknowledged");
    }

    /// Ones go from one account to the other and back, by the etags of both.
    async fn transactions_that_cross_lose_nothing(&self) {
        for account in ["left", "right"] {
            self.begin(account, SUM).await;
        }
        let move_ones = async |store: usize, from: &str, to: &str, times: u64| {
            let mut moved = 0;
            while moved < times {
                let (source, target) = (self.read(store, from).await, self.read(store, to).await);
                let operations = vec![
                    Operation::Upsert(self.write(from, source.number - 1, source.etag)),
                    Operation::Upsert(self.write(to, target.number + 1, target.etag)),
                ];
                moved += u64::from(came_first(self.transact(store, operations).await));
            }
        };
        let there = move_ones(0, "left", "right", THERE);
        let back = move_ones(1, "right", "left", BACK);
        tokio::join!(there, back);
        let left = self.read(0, "left").await.number;
        let right = self.read(1, "right").await.number;
        assert_eq!((left, right), (SUM - THERE + BACK, SUM + THERE - BACK));
    }

    /// Half of them in a transaction that removes the key before.
    async fn of_many_first_writers_one_comes_first(&self) {
        for round in 0..CREATIONS {
            let name = format!("first-{round}");
            let creations = join_all((0..CREATORS).map(async |number| {
                let mut create = self.write(&name, number as u64, None);
                create.options.concurrency = Concurrency::FirstWrite;
                if number < CREATORS / 2 {
                    return came_first(self.stores[number % 2].set(create).await);
                }
                let operations = vec![
                    Operation::Delete(DeleteRequest::new(self.key(&name))),
                    Operation::Upsert(create),
                    Operation::Upsert(self.write("beside", 1, None)),
                ];
                came_first(self.transact(number % 2, operations).await)
            }))
            .await;
            let first = creations.iter().filter(|first| **first).count();
            assert_eq!(first, 1, "{name} is created once");
        }
    }
}

/// Whether the writer came first; to have come too late is the only other way.
fn came_first(written: Result<(), StateError>) -> bool {
    match written {
        Ok(()) => true,
        Err(StateError::EtagMismatch(_) | StateError::Conflict(_)) => false,
        Err(other) => panic!("{other}"),
    }
}
