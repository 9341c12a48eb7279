//! Kinds whose resources are published as they are, once their secrets are filled in.
//!
//! ```text
//! source ─Told─▶ Collection (pure: what is wanted, what waits, what is published) ◀─▶ Keeping: secrets
//!                    └──▶ watch: all that can be used, whole, after each change
//! ```
//!
//! What cannot be used stops at itself: it is named with its reason, and what it said before stays published.

mod collection;
mod keeping;
mod kinds;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use trilby_crds::{Object, Spec};
use trilby_grpc::Backoff;

use crate::{
    kind::{Kind, Told},
    lenient,
    observer::Observer,
    resource::{Problem, Resource},
};
use collection::Collection;

pub(crate) use keeping::Keeping;

/// Resources that arrive while others are being worked on; beyond that the source waits.
const QUEUE: usize = 64;

/// A kind whose resources are published as they are.
pub(crate) trait Declared: Spec + DeserializeOwned + PartialEq {
    /// Which one it is.
    const OF: Kind;

    /// Reads one resource.
    fn decode(json: &[u8]) -> serde_json::Result<Object<Self>> {
        lenient::from_slice(json)
    }

    /// Name of the secret-store component that its secrets are kept in; empty when it names none.
    fn secret_store(object: &Object<Self>) -> &str {
        object.secret_store()
    }

    /// Values that may stand in a secret or in the environment.
    fn places(&mut self) -> Vec<Place<'_>> {
        Vec::new()
    }

    /// What makes it useless whatever its secrets are; `kubernetes` is whether the operator is the source.
    fn check(&self, _kubernetes: bool) -> Result<(), String> {
        Ok(())
    }
}

/// A value that may stand elsewhere.
pub(crate) struct Place<'a> {
    /// As messages call it.
    pub(crate) name: String,
    pub(crate) value: &'a mut Option<Value>,
    /// A secret's name and the key in it.
    pub(crate) secret: Option<(String, String)>,
    /// A variable, which counts without a value.
    pub(crate) env: Option<String>,
}

/// Where a kind's first load stands, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) kind: Kind,
    /// Cancelled once its resources were told and tried.
    pub(crate) loaded: CancellationToken,
    pub(crate) last_problem: Mutex<Option<String>>,
}

/// Everything that keeping one kind takes.
struct Keeper<S> {
    collection: Collection<S>,
    keeping: Keeping,
    told: mpsc::Receiver<Told>,
    gate: Arc<Gate>,
    publish: watch::Sender<Arc<[Resource<S>]>>,
    problems: Arc<Problems>,
    observer: Arc<dyn Observer>,
}

/// What cannot be used, kind by kind.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<Vec<Problem>>);

// === impl Problems ===

impl Problems {
    pub(crate) fn all(&self) -> Vec<Problem> {
        self.0.lock().clone()
    }

    /// Puts `now` in the place of what was said about the kind.
    pub(crate) fn replace(&self, kind: &str, now: impl IntoIterator<Item = Problem>) {
        let mut all = self.0.lock();
        all.retain(|problem| problem.kind != kind);
        all.extend(now);
    }
}

/// Everything that keeping all kinds takes.
pub(crate) struct Keepers {
    /// `None` to take resources of every namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) keeping: Keeping,
    pub(crate) receivers: BTreeMap<Kind, mpsc::Receiver<Told>>,
}

/// A channel per kind. One that is full makes its source wait, which slows the operator's stream down.
pub(crate) fn channels() -> (
    BTreeMap<Kind, mpsc::Sender<Told>>,
    BTreeMap<Kind, mpsc::Receiver<Told>>,
) {
    let channels = Kind::ALL.map(|kind| (kind, mpsc::channel(QUEUE)));
    let mut senders = BTreeMap::new();
    let mut receivers = BTreeMap::new();
    for (kind, (sender, receiver)) in channels {
        senders.insert(kind, sender);
        receivers.insert(kind, receiver);
    }
    (senders, receivers)
}

// === impl Keepers ===

impl Keepers {
    /// What keeps every kind but components, and where each of them stands.
    pub(crate) fn start(mut self) -> (BoxFuture<'static, ()>, Vec<Arc<Gate>>) {
        let shared = Arc::clone(&self.keeping.shared);
        let kinds = &shared.kinds;
        let mut gates = Vec::new();
        let all = [
            self.one(&kinds.resiliencies, &mut gates),
            self.one(&kinds.http_endpoints, &mut gates),
            self.one(&kinds.subscriptions, &mut gates),
            self.one(&kinds.mcp_servers, &mut gates),
            self.one(&kinds.workflow_access_policies, &mut gates),
        ];
        (join_all(all).map(drop).boxed(), gates)
    }

    fn one<S: Declared>(
        &mut self,
        publish: &watch::Sender<Arc<[Resource<S>]>>,
        gates: &mut Vec<Arc<Gate>>,
    ) -> BoxFuture<'static, ()> {
        let gate = Arc::new(Gate {
            kind: S::OF,
            loaded: CancellationToken::new(),
            last_problem: Mutex::default(),
        });
        gates.push(Arc::clone(&gate));
        let keeping = self.keeping.clone();
        let keeper = Keeper {
            collection: Collection::new(keeping.app_id.clone(), self.namespace.clone()),
            told: self
                .receivers
                .remove(&S::OF)
                .expect("every kind has a channel"),
            gate,
            publish: publish.clone(),
            problems: Arc::clone(&keeping.shared.problems),
            keeping,
            observer: Arc::clone(&self.observer),
        };
        keeper.run().boxed()
    }
}

// === impl Keeper ===

impl<S: Declared> Keeper<S> {
    /// Publishes every change for as long as it is polled.
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut stores = self.keeping.changes();
        let mut source = Source::Open;
        loop {
            self.work().await;
            let pause = self.collection.pause(&mut backoff);
            tokio::select! {
                told = self.told.recv(), if source == Source::Open => match told {
                    Some(told) => self.hear(told),
                    None => source = Source::Over,
                },
                Ok(()) = stores.changed() => self.collection.stores_changed(),
                () = after(pause) => self.collection.try_again(),
            }
        }
    }

    fn hear(&mut self, told: Told) {
        self.take(told);
        // A storm about one resource costs one attempt.
        while let Ok(told) = self.told.try_recv() {
            self.take(told);
        }
    }

    fn take(&mut self, told: Told) {
        if let Told::Problem(problem) = told {
            *self.gate.last_problem.lock() = Some(problem);
            return;
        }
        self.collection.fold(told);
    }

    /// Tries everything that is to be tried, and publishes the outcome.
    async fn work(&mut self) {
        let jobs = self
            .collection
            .jobs(self.keeping.kubernetes, |store| self.keeping.serves(store));
        let attempts = jobs.into_iter().map(|job| self.keeping.resolve(job));
        for (name, outcome) in join_all(attempts).await {
            self.collection.settle(&name, outcome);
        }
        for _ in 0..self.collection.take_failures() {
            self.observer.unusable(S::KIND);
        }
        if !self.collection.is_told() {
            return;
        }
        self.problems.replace(S::KIND, self.collection.problems());
        let ledger = &self.keeping.shared.ledger;
        ledger.replace(S::KIND, || self.collection.states());
        let all: Arc<[Resource<S>]> = self.collection.published().into();
        let changed = self.publish.send_if_modified(|old| {
            let changed = **old != *all;
            if changed {
                *old = all;
            }
            changed
        });
        if changed && self.gate.loaded.is_cancelled() {
            tracing::info!(kind = S::KIND, "resources changed");
        }
        self.gate.loaded.cancel();
    }
}

/// Whether there may be more to hear.
#[derive(PartialEq)]
enum Source {
    Open,
    Over,
}

async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}
