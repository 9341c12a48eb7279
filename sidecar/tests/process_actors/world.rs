//! Placement, hosts of cats, those who call them, and a witness of who serves what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{any, get};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use trilby_testkit::eventually::eventually;
use trilby_testkit::http::Client;
use trilby_testkit::lan::Place;
use trilby_testkit::services::{Daprd, Placement};

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n  metadata:\n  - name: actorStateStore\n    value: 'true'\n";

const ACTORS: usize = 60;
const CALLERS: usize = 8;
/// A call under way to a host that vanished ends with the connection, which takes longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two calls of one caller, so that those that fail at once leave time for the others.
const PAUSE: Duration = Duration::from_millis(2);

/// Who serves what at the moment, and what was wrong about it.
#[derive(Default)]
struct Witness {
    /// The hosts of each actor's turns. One host may be there twice: it learns of the end of a request that was given up
    /// over another connection than of the next one.
    serving: Mutex<BTreeMap<String, Vec<usize>>>,
    overlaps: Mutex<Vec<String>>,
    served: AtomicU64,
}

/// An actor in a host; the request that is given up ends it as well.
struct Turn {
    witness: Arc<Witness>,
    actor: String,
    host: usize,
}

impl Turn {
    fn begin(witness: &Arc<Witness>, actor: String, host: usize) -> Self {
        let mut serving = witness.serving.lock();
        let hosts = serving.entry(actor.clone()).or_default();
        if let Some(other) = hosts.iter().find(|other| **other != host) {
            let both = format!("{actor}: {other} and {host}");
            witness.overlaps.lock().push(both);
        }
        hosts.push(host);
        drop(serving);
        witness.served.fetch_add(1, Relaxed);
        Self {
            witness: Arc::clone(witness),
            actor,
            host,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut serving = self.witness.serving.lock();
        let hosts = serving.entry(self.actor.clone()).or_default();
        if let Some(at) = hosts.iter().position(|host| *host == self.host) {
            hosts.swap_remove(at);
        }
    }
}

/// An application that hosts `cat` and takes its time; gives its port.
async fn app(witness: &Arc<Witness>, host: usize, place: Place) -> u16 {
    let loopback = "127.0.0.1:0".parse().unwrap();
    let listener = place.network.listen(loopback).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let witness = Arc::clone(witness);
    let method = move |Path((id, _)): Path<(String, String)>| {
        let turn = Turn::begin(&witness, id, host);
        async move {
            tokio::time::sleep(Duration::from_millis(15)).await;
            drop(turn);
            host.to_string()
        }
    };
    let entities = || async { axum::Json(json!({ "entities": ["cat"] })) };
    let router = Router::new()
        .route("/dapr/config", get(entities))
        .route("/healthz", get(|| async {}))
        .route("/actors/cat/{id}/method/{method}", any(method))
        .route("/actors/cat/{id}", any(|| async {}));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

/// Where calls enter: the API of one sidecar.
#[derive(Clone)]
pub(crate) struct Door {
    client: Client,
    cats: String,
}

/// Placement, hosts of cats, and a sidecar that calls them.
pub(crate) struct World {
    pub(crate) placements: Vec<Placement>,
    pub(crate) hosts: Vec<Daprd>,
    witness: Arc<Witness>,
    pub(crate) caller: Daprd,
    begun: usize,
    _folder: tempfile::TempDir,
    resources: String,
}

// === impl Door ===

impl Door {
    pub(crate) fn of(sidecar: &Daprd) -> Self {
        Self {
            client: sidecar.client(),
            cats: sidecar.url("/v1.0/actors/cat"),
        }
    }

    async fn call(&self, id: usize) -> Result<(), String> {
        let url = format!("{}/{id}/method/purr", self.cats);
        let answer = tokio::time::timeout(PATIENCE, self.client.put(&url, "")).await;
        let answer = answer.map_err(|_| format!("no answer within {PATIENCE:?}"))?;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        match answer.status.as_u16() {
            200 => Ok(()),
            status => Err(format!("{status} {}", answer.text())),
        }
    }

    /// What comes of calling every actor once, at the same time.
    async fn call_all(&self) -> Vec<Result<(), String>> {
        let mut calls = JoinSet::new();
        for id in 0..ACTORS {
            let door = self.clone();
            calls.spawn(async move { door.call(id).await });
        }
        calls.join_all().await
    }

    pub(crate) async fn all_answer(&self) {
        eventually("every actor answers", async || {
            self.call_all().await.into_iter().collect::<Result<(), _>>()
        })
        .await;
    }

    /// How many actors answer now.
    pub(crate) async fn answers(&self) -> usize {
        let outcomes = self.call_all().await;
        outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    }
}

// === impl World ===

impl World {
    /// All on this machine, with one placement.
    pub(crate) async fn start(hosts: usize) -> Self {
        let places = vec![Place::LOOPBACK; hosts];
        Self::with(vec![Placement::new()], &places, Place::LOOPBACK).await
    }

    /// These replicas of placement, a host at each of these places, and a caller.
    pub(crate) async fn with(placements: Vec<Placement>, hosts: &[Place], caller: Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("store.yaml"), STORE).unwrap();
        let mut world = Self {
            witness: Arc::default(),
            caller: placed(&placements, Daprd::new("caller").at(caller)),
            placements,
            hosts: Vec::new(),
            begun: 0,
            resources: folder.path().display().to_string(),
            _folder: folder,
        };
        for placement in &mut world.placements {
            placement.launch();
        }
        for placement in &mut world.placements {
            placement.healthy().await;
        }
        world.caller.start().await;
        for place in hosts {
            world.add_at(*place).await;
        }
        world.all_answer().await;
        world
    }

    /// One more host, on this machine.
    pub(crate) async fn add(&mut self) {
        self.add_at(Place::LOOPBACK).await;
    }

    async fn add_at(&mut self, place: Place) {
        self.begun += 1;
        let port = app(&self.witness, self.begun, place).await;
        let daprd = Daprd::new("cats").at(place).app_port(port);
        let daprd = daprd.arg("--resources-path", &self.resources);
        let mut daprd = placed(&self.placements, daprd);
        daprd.start().await;
        self.hosts.push(daprd);
    }

    /// Waits until every actor answers the caller.
    pub(crate) async fn all_answer(&self) {
        Door::of(&self.caller).all_answer().await;
    }

    /// The caller calls actors without end while `trouble` goes on.
    pub(crate) async fn under_load(&mut self, trouble: impl AsyncFnOnce(&mut Self)) {
        let doors = [Door::of(&self.caller)];
        self.under_load_through(&doors, trouble).await;
    }

    /// Actors are called without end, through each of these in turn, while `trouble` goes on.
    pub(crate) async fn under_load_through(
        &mut self,
        doors: &[Door],
        trouble: impl AsyncFnOnce(&mut Self),
    ) {
        let over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let door = doors[caller % doors.len()].clone();
            let over = Arc::clone(&over);
            callers.spawn(async move {
                for round in 0.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    // A host that is gone costs its callers an error: that is not what is asked here.
                    let _answer = door.call((round * 7 + caller * 13) % ACTORS).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        trouble(self).await;
        self.all_answer().await;
        over.store(true, Relaxed);
        while let Some(caller) = callers.join_next().await {
            caller.expect("no panic");
        }
        assert_eq!(*self.witness.overlaps.lock(), [""; 0]);
        assert!(self.witness.served.load(Relaxed) > 0);
    }
}

/// It finds placement at any of these.
fn placed(placements: &[Placement], sidecar: Daprd) -> Daprd {
    let addresses = placements.iter().map(Placement::grpc_address);
    let addresses: Vec<String> = addresses.map(|it| it.to_string()).collect();
    sidecar.arg("--placement-host-address", addresses.join(","))
}
