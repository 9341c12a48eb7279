//! Actors of real sidecars around the real placement service: whatever befalls their hosts, no actor is
//! served by two of them at a time, and all are served in the end.

#![allow(clippy::unwrap_used, reason = "test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{any, get};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trilby_testkit::eventually::eventually;
use trilby_testkit::http::Client;
use trilby_testkit::services::{Daprd, Placement};

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n  metadata:\n  - name: actorStateStore\n    value: 'true'\n";

const ACTORS: usize = 60;
const CALLERS: usize = 8;

/// Who serves what at the moment, and what was wrong about it.
#[derive(Default)]
struct Witness {
    serving: Mutex<BTreeMap<String, usize>>,
    overlaps: Mutex<Vec<String>>,
    served: AtomicU64,
}

/// An actor in a host; the request that is given up ends it as well.
struct Turn {
    witness: Arc<Witness>,
    actor: String,
}

impl Turn {
    fn begin(witness: &Arc<Witness>, actor: String, host: usize) -> Self {
        let other = witness.serving.lock().insert(actor.clone(), host);
        if let Some(other) = other {
            let both = format!("{actor}: {other} and {host}");
            witness.overlaps.lock().push(both);
        }
        witness.served.fetch_add(1, Relaxed);
        Self {
            witness: Arc::clone(witness),
            actor,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.witness.serving.lock().remove(&self.actor);
    }
}

/// An application that hosts `cat` and takes its time; gives its port.
async fn app(witness: &Arc<Witness>, host: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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

/// Placement, hosts of cats, and a sidecar that calls them.
struct World {
    witness: Arc<Witness>,
    placement: Placement,
    hosts: Vec<Daprd>,
    caller: Daprd,
    begun: usize,
    _folder: tempfile::TempDir,
    resources: String,
}

impl World {
    async fn start(hosts: usize) -> Self {
        let mut placement = Placement::new();
        placement.start().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("store.yaml"), STORE).unwrap();
        let address = placement.grpc_address();
        let caller = Daprd::new("caller").arg("--placement-host-address", address);
        let mut world = Self {
            witness: Arc::default(),
            placement,
            hosts: Vec::new(),
            caller,
            begun: 0,
            resources: folder.path().display().to_string(),
            _folder: folder,
        };
        world.caller.start().await;
        for _ in 0..hosts {
            world.add().await;
        }
        world.all_answer().await;
        world
    }

    /// One more host.
    async fn add(&mut self) {
        self.begun += 1;
        let port = app(&self.witness, self.begun).await;
        let mut daprd = Daprd::new("cats")
            .app_port(port)
            .arg("--resources-path", &self.resources)
            .arg("--placement-host-address", self.placement.grpc_address());
        daprd.start().await;
        self.hosts.push(daprd);
    }

    async fn all_answer(&self) {
        eventually("every actor answers", async || {
            let mut calls = JoinSet::new();
            for id in 0..ACTORS {
                let url = self.url(id);
                calls.spawn(async move { call(&url).await });
            }
            while let Some(answer) = calls.join_next().await {
                answer.expect("no panic")?;
            }
            Ok::<_, String>(())
        })
        .await;
    }

    fn url(&self, id: usize) -> String {
        self.caller
            .url(&format!("/v1.0/actors/cat/{id}/method/purr"))
    }

    /// Calls actors without end while `trouble` goes on.
    async fn under_load(&mut self, trouble: impl AsyncFnOnce(&mut Self)) {
        let over = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let urls: Vec<String> = (0..ACTORS).map(|id| self.url(id)).collect();
            let over = Arc::clone(&over);
            callers.spawn(async move {
                for round in 0.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    // A host that is gone costs its callers an error: that is not what is asked here.
                    let _answer = call(&urls[(round * 7 + caller * 13) % ACTORS]).await;
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

async fn call(url: &str) -> Result<(), String> {
    let answer = Client::host().put(url, "").await;
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    match answer.status.as_u16() {
        200 => Ok(()),
        status => Err(format!("{status} {}", answer.text())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_is_served_twice_while_hosts_are_replaced() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            for _ in 0..3 {
                world.add().await;
                let mut oldest = world.hosts.remove(0);
                assert!(oldest.stop().await.success());
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_is_served_twice_when_hosts_crash() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            for _ in 0..2 {
                world.hosts.remove(0).kill().await;
                world.add().await;
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_host_loses_its_actors_and_serves_none_of_them_when_it_goes_on() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            world.hosts[0].freeze();
            // Served by the others as soon as its lease is over.
            world.all_answer().await;
            world.hosts[0].thaw();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_go_on_when_placement_crashes_and_comes_back() {
    let mut world = World::start(2).await;
    world
        .under_load(async |world| {
            world.placement.kill().await;
            world.placement.start().await;
            world.all_answer().await;
        })
        .await;
}
