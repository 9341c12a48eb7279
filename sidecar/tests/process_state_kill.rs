//! The real binary, killed again and again in the middle of ten thousand writes: what it acknowledged is there, and
//! nothing is half there.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};
use trilby_testkit::http::Client;
use trilby_testkit::servers::postgres::{Postgres, USER};
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;

/// The steps at one store, of three kinds in turn: 3,400 writes, so that three stores have 10,200.
const STEPS: usize = 600;
/// How often the sidecar is killed meanwhile.
const KILLS: usize = 5;
/// Who write at once.
const WRITERS: usize = 8;
/// What one request in bulk writes.
const BULK: usize = 10;
/// What a transaction writes, beside what it removes.
const TRANSACTION: usize = 4;
/// How long all of it may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// A piece of a writer's work. No two have a key in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One key is saved.
    Single,
    /// [`BULK`] keys are saved with one request, each for itself.
    Bulk,
    /// A key is saved; then a transaction removes it, and saves [`TRANSACTION`] others.
    Transaction,
}

/// What is known of a step that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    /// The sidecar died before it answered the first, or only, request.
    Unknown,
    /// The sidecar died before it answered the second request; the first one was acknowledged.
    HalfWay,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    number: usize,
    kind: Kind,
}

impl Step {
    fn new(number: usize) -> Self {
        let kinds = [Kind::Single, Kind::Bulk, Kind::Transaction];
        let kind = kinds[number % kinds.len()];
        Self { number, kind }
    }

    /// The keys that it saves, and that stay.
    fn keys(self) -> Vec<String> {
        let count = match self.kind {
            Kind::Single => 1,
            Kind::Bulk => BULK,
            Kind::Transaction => TRANSACTION,
        };
        let keys = (0..count).map(|index| format!("step-{}-{index}", self.number));
        keys.collect()
    }

    /// The key that its transaction removes.
    fn removed(self) -> String {
        format!("step-{}-removed", self.number)
    }

    /// Every key that it may touch.
    fn all_keys(self) -> Vec<String> {
        let mut keys = self.keys();
        keys.push(self.removed());
        keys
    }

    /// How many writes it makes.
    fn writes(self) -> usize {
        match self.kind {
            Kind::Single | Kind::Bulk => self.keys().len(),
            Kind::Transaction => TRANSACTION + 2,
        }
    }

    async fn carry_out(self, base: &str) -> Outcome {
        let items = |keys: Vec<String>| {
            let items = keys
                .into_iter()
                .map(|key| json!({"key": key, "value": value(&key)}));
            Value::from_iter(items)
        };
        let first = match self.kind {
            Kind::Single | Kind::Bulk => items(self.keys()),
            Kind::Transaction => items(vec![self.removed()]),
        };
        if !acknowledged(base, &first).await {
            return Outcome::Unknown;
        }
        if self.kind != Kind::Transaction {
            return Outcome::Acknowledged;
        }
        let saved = self.keys().into_iter().map(
            |key| json!({"operation": "upsert", "request": {"key": key, "value": value(&key)}}),
        );
        let removed = json!({"operation": "delete", "request": {"key": self.removed()}});
        let operations: Vec<Value> = saved.chain([removed]).collect();
        let url = format!("{base}/transaction");
        match acknowledged(&url, &json!({"operations": operations})).await {
            true => Outcome::Acknowledged,
            false => Outcome::HalfWay,
        }
    }

    /// Whether what is in the store can be what this step left there.
    fn judge(
        self,
        outcome: Option<Outcome>,
        found: &BTreeMap<String, Value>,
    ) -> Result<(), String> {
        for key in self.all_keys() {
            match found.get(&key) {
                Some(other) if *other != value(&key) => return Err(format!("{key} is {other}")),
                _ => {}
            }
        }
        let saved = self.keys();
        let present = saved.iter().filter(|key| found.contains_key(*key)).count();
        let marked = found.contains_key(&self.removed());
        let transacted = (present, marked) == (saved.len(), false);
        let right = match (outcome, self.kind) {
            (None, _) => (present, marked) == (0, false),
            (Some(Outcome::Acknowledged), _) => transacted,
            (Some(Outcome::Unknown), Kind::Transaction) => present == 0,
            (Some(Outcome::Unknown), Kind::Single | Kind::Bulk) => true,
            (Some(Outcome::HalfWay), _) => transacted || (present, marked) == (0, true),
        };
        match right {
            true => Ok(()),
            false => Err(format!(
                "{present} of {} keys, the removed one is there: {marked}",
                saved.len()
            )),
        }
    }
}

/// What is saved at a key: long enough to be torn apart.
fn value(key: &str) -> Value {
    json!({ "of": key, "filler": key.repeat(100) })
}

/// Sends it; says whether it was acknowledged. A refusal is none of the two.
async fn acknowledged(url: &str, body: &Value) -> bool {
    match Client::host().post(url, &body.to_string()).await {
        Ok(answer) => {
            assert!(answer.status.is_success(), "{url}: {}", answer.text());
            true
        }
        Err(_) => false,
    }
}

/// What the writers did, and how far they are.
#[derive(Debug, Default)]
struct Journal {
    next: Cell<usize>,
    done: Cell<usize>,
    outcomes: RefCell<BTreeMap<usize, Outcome>>,
}

impl Journal {
    /// Carries out steps until there are no more, or the sidecar is gone.
    async fn write(&self, base: &str) {
        while self.next.get() < STEPS {
            let step = Step::new(self.next.replace(self.next.get() + 1));
            let outcome = step.carry_out(base).await;
            self.outcomes.borrow_mut().insert(step.number, outcome);
            if outcome != Outcome::Acknowledged {
                return;
            }
            self.done.set(self.done.get() + 1);
        }
    }

    /// Waits until so many steps are done.
    async fn reaches(&self, steps: usize) {
        let mut poll = interval(Duration::from_millis(1));
        while self.done.get() < steps {
            poll.tick().await;
        }
    }
}

/// Everything that is there of these keys.
async fn read(daprd: &Daprd, keys: &[String]) -> BTreeMap<String, Value> {
    let url = daprd.url("/v1.0/state/store/bulk");
    let body = json!({"keys": keys, "parallelism": 10}).to_string();
    let answer = Client::host().post(&url, &body).await.unwrap();
    let items = answer.success().unwrap().json();
    let items = items.as_array().unwrap().iter();
    let found = items.filter_map(|item| {
        assert_eq!(item.get("error"), None, "{item}");
        Some((item["key"].as_str()?.to_owned(), item.get("data")?.clone()))
    });
    found.collect()
}

async fn outlives_kills(kind: &str, metadata: Value) {
    let component = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": { "name": "store" },
        "spec": { "type": kind, "version": "v1", "metadata": metadata },
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.yaml"), component.to_string()).unwrap();
    let mut daprd = Daprd::new("shop").arg("--resources-path", folder.path().display());
    let base = daprd.url("/v1.0/state/store");
    let journal = Journal::default();
    let writers = || join_all((0..WRITERS).map(|_| journal.write(&base)));
    for round in 1..=KILLS {
        daprd.start().await;
        let kill = async {
            journal.reaches(round * STEPS / (KILLS + 1)).await;
            daprd.kill().await;
        };
        join(writers(), kill).await;
    }
    daprd.start().await;
    writers().await;

    let outcomes = journal.outcomes.into_inner();
    assert_eq!(outcomes.len(), STEPS, "every step was begun");
    let unknown = outcomes
        .values()
        .filter(|one| **one != Outcome::Acknowledged);
    let unknown = unknown.count();
    assert!((1..=KILLS * WRITERS).contains(&unknown), "{unknown}");
    let steps: Vec<Step> = (0..STEPS).map(Step::new).collect();
    for steps in steps.chunks(20) {
        let keys: Vec<String> = steps.iter().flat_map(|step| step.all_keys()).collect();
        let found = read(&daprd, &keys).await;
        for step in steps {
            let outcome = outcomes.get(&step.number).copied();
            let judged = step.judge(outcome, &found);
            judged.unwrap_or_else(|error| panic!("{kind}, {step:?}, {outcome:?}: {error}"));
        }
    }
}

async fn within_limits(test: impl Future<Output = ()>) {
    timeout(PATIENCE, test).await.expect("it ends");
}

#[test]
fn there_are_ten_thousand_writes() {
    let writes: usize = (0..STEPS).map(|number| Step::new(number).writes()).sum();
    assert!(3 * writes >= 10_000, "{writes}");
}

#[test]
fn what_is_lost_or_half_there_is_found() {
    let step = Step::new(2);
    assert_eq!(step.kind, Kind::Transaction);
    let keys = step.keys();
    let with = |keys: &[String]| {
        let found = keys.iter().map(|key| (key.clone(), value(key)));
        found.collect::<BTreeMap<_, _>>()
    };
    let (all, half, none) = (with(&keys), with(&keys[1..]), with(&[]));
    let marker = with(&[step.removed()]);
    for (outcome, right, wrong) in [
        (
            Some(Outcome::Acknowledged),
            vec![&all],
            vec![&half, &none, &marker],
        ),
        (
            Some(Outcome::HalfWay),
            vec![&all, &marker],
            vec![&half, &none],
        ),
        (
            Some(Outcome::Unknown),
            vec![&none, &marker],
            vec![&half, &all],
        ),
        (None, vec![&none], vec![&half, &all, &marker]),
    ] {
        for found in right {
            assert_eq!(step.judge(outcome, found), Ok(()), "{outcome:?}");
        }
        for found in wrong {
            assert!(
                step.judge(outcome, found).is_err(),
                "{outcome:?}: {found:?}"
            );
        }
    }
    let single = Step::new(0);
    let torn = [(single.keys().remove(0), json!("torn"))].into();
    assert!(single.judge(Some(Outcome::Unknown), &torn).is_err());
    let acknowledged = single.judge(Some(Outcome::Acknowledged), &none);
    assert!(acknowledged.is_err());
}

#[tokio::test]
async fn what_was_acknowledged_is_in_redis() {
    let redis = Redis::start().await;
    let host = redis.address().to_string();
    let metadata = json!([{ "name": "redisHost", "value": host }]);
    within_limits(outlives_kills("state.redis", metadata)).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_in_postgresql() {
    let postgres = Postgres::start().await;
    let (host, port) = (postgres.address().ip(), postgres.address().port());
    let string = format!("host={host} port={port} user={USER} database={USER}");
    let metadata = json!([{ "name": "connectionString", "value": string }]);
    within_limits(outlives_kills("state.postgresql", metadata)).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db").display().to_string();
    let metadata = json!([{ "name": "connectionString", "value": file }]);
    within_limits(outlives_kills("state.sqlite", metadata)).await;
}
