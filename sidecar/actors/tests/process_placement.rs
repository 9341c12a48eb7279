//! Actor runtimes around the real placement service: who serves which actor, and what happens when hosts come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use trilby_actors::{
    ActorKey, ActorRequest, ActorResponse, Actors, AppCallback, AppConfig, AppFailure,
    HostedActors, Peer, Peers, Route, Settings, StateTtl, Surroundings, TimerFire,
};
use trilby_components::{in_memory::InMemoryState, state::NamedStore};
use trilby_grpc::ChannelConfig;
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};
use trilby_testkit::eventually::eventually;
use trilby_testkit::services::Placement;

const IDS: u32 = 100;
const DISSEMINATE: Duration = Duration::from_secs(30);

/// Everything that runtimes of one test share: the way to each other, and who executes what.
#[derive(Default)]
struct World {
    runtimes: Mutex<BTreeMap<String, Actors>>,
    executing: Mutex<BTreeMap<String, String>>,
    overlaps: Mutex<Vec<String>>,
}

#[async_trait]
impl Peers for World {
    async fn call_actor(
        &self,
        peer: &Peer,
        request: InternalInvokeRequest,
    ) -> Result<InternalInvokeResponse, tonic::Status> {
        let runtime = self.runtimes.lock().get(&peer.address).cloned();
        let runtime = runtime.ok_or_else(|| tonic::Status::unavailable("connection refused"))?;
        Ok(runtime.invoke_local(request.try_into()?).await?.into())
    }
}

struct App {
    name: String,
    world: Arc<World>,
}

#[async_trait]
impl AppCallback for App {
    async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, AppFailure> {
        let id = request.actor.actor_id.to_string();
        let other = self
            .world
            .executing
            .lock()
            .insert(id.clone(), self.name.clone());
        if let Some(other) = other {
            self.world
                .overlaps
                .lock()
                .push(format!("{id}: {other} and {}", self.name));
        }
        let takes = if request.method == "nap" { 1800 } else { 2 };
        tokio::time::sleep(Duration::from_millis(takes)).await;
        self.world.executing.lock().remove(&id);
        let data = Bytes::from(self.name.clone());
        Ok(ActorResponse {
            status: 200,
            data,
            ..ActorResponse::default()
        })
    }

    async fn timer(&self, _: &ActorKey, _: TimerFire) -> Result<ActorResponse, AppFailure> {
        Err(AppFailure::NotConnected)
    }

    async fn deactivate(&self, _: &ActorKey) -> Result<(), AppFailure> {
        Ok(())
    }
}

struct Sidecar {
    actors: Actors,
    running: JoinHandle<()>,
    shutdown: CancellationToken,
    _store: watch::Sender<Option<NamedStore>>,
}

impl Sidecar {
    fn start(world: &Arc<World>, placement: &Placement, number: u16, types: &[&str]) -> Self {
        let address = format!("10.0.0.{number}:50002");
        let store = NamedStore {
            name: "store".into(),
            store: Arc::new(InMemoryState::default()),
        };
        let (store, stores) = watch::channel(Some(store));
        let settings = Settings {
            app_id: format!("app-{number}"),
            namespace: "default".into(),
            host_address: address.clone(),
            disseminate_timeout: DISSEMINATE,
            state_ttl: StateTtl::Refused,
        };
        let app = App {
            name: address.clone(),
            world: Arc::clone(world),
        };
        let surroundings = Surroundings {
            app: Arc::new(app),
            peers: Arc::clone(world) as Arc<dyn Peers>,
            store: stores,
            observer: Arc::new(()),
            resiliency: trilby_resiliency::Resiliency::new(Arc::new(trilby_resiliency::Silent)),
        };
        let actors = Actors::new(settings, surroundings);
        let config = AppConfig {
            entities: types.iter().map(ToString::to_string).collect(),
            ..AppConfig::default()
        };
        actors.set_hosted(Some(
            HostedActors::new(&config, DISSEMINATE).expect("the defaults are usable"),
        ));
        world.runtimes.lock().insert(address, actors.clone());

        let target = placement
            .grpc_address()
            .to_string()
            .parse()
            .expect("an address");
        let channel =
            trilby_grpc::channel(target, None, ChannelConfig::default()).expect("an address");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn({
            let (actors, shutdown) = (actors.clone(), shutdown.clone());
            async move { actors.run(Route::listed(vec![channel]), shutdown).await }
        });
        Self {
            actors,
            running,
            shutdown,
            _store: store,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("it does not panic");
    }

    /// Calls every actor once and says who served each.
    async fn call_all(&self) -> BTreeMap<u32, String> {
        let mut served = BTreeMap::new();
        for id in 0..IDS {
            let request = ActorRequest::new(ActorKey::new("cat", id.to_string()), "purr");
            let answer = self.actors.invoke(request).await;
            let answer = answer.unwrap_or_else(|error| panic!("actor {id}: {error}"));
            served.insert(
                id,
                String::from_utf8(answer.data.to_vec()).expect("a host's name"),
            );
        }
        served
    }

    async fn has_table(&self) {
        eventually("a placement table is in force", async || {
            if self.actors.status().host_ready {
                Ok(())
            } else {
                Err(format!("{:?}", self.actors.status()))
            }
        })
        .await;
    }
}

fn hosts(served: &BTreeMap<u32, String>) -> BTreeSet<&str> {
    served.values().map(String::as_str).collect()
}

async fn placement() -> Placement {
    let mut placement = Placement::new();
    placement.start().await;
    placement
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_actor_has_one_host_and_moves_when_that_leaves() {
    let (world, placement) = (Arc::new(World::default()), placement().await);
    let first = Sidecar::start(&world, &placement, 1, &["cat"]);
    let second = Sidecar::start(&world, &placement, 2, &["cat"]);
    let caller = Sidecar::start(&world, &placement, 3, &[]);
    first.has_table().await;
    second.has_table().await;
    caller.has_table().await;

    let both = eventually("both hosts are in the table", async || {
        let served = caller.call_all().await;
        if hosts(&served).len() == 2 {
            Ok(served)
        } else {
            Err(format!("{:?}", hosts(&served)))
        }
    })
    .await;
    assert_eq!(caller.call_all().await, both, "an actor stays where it is");

    second.stop().await;
    let one = caller.call_all().await;
    assert_eq!(hosts(&one), BTreeSet::from(["10.0.0.1:50002"]));
    assert_eq!(*world.overlaps.lock(), [""; 0]);

    first.stop().await;
    caller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_runs_in_two_places_while_hosts_come_and_go() {
    let (world, placement) = (Arc::new(World::default()), placement().await);
    let _first = Sidecar::start(&world, &placement, 1, &["cat"]);
    let caller = Arc::new(Sidecar::start(&world, &placement, 9, &[]));
    caller.has_table().await;
    let calls = tokio::spawn({
        let caller = Arc::clone(&caller);
        async move {
            for _ in 0..5 {
                caller.call_all().await;
            }
        }
    });
    for number in [2, 3] {
        let joined = Sidecar::start(&world, &placement, number, &["cat"]);
        joined.has_table().await;
        joined.stop().await;
    }
    calls.await.expect("every call succeeds");
    assert_eq!(*world.overlaps.lock(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_after_placement_was_away() {
    let (world, mut placement) = (Arc::new(World::default()), placement().await);
    let host = Sidecar::start(&world, &placement, 1, &["cat"]);
    host.has_table().await;
    host.call_all().await;
    placement.kill().await;
    eventually("the sidecar knows", async || {
        if host.actors.status().connected {
            Err("connected")
        } else {
            Ok(())
        }
    })
    .await;
    placement.start().await;
    assert_eq!(hosts(&host.call_all().await).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_nobody_hosts_is_an_error_that_names_the_actor() {
    let (world, placement) = (Arc::new(World::default()), placement().await);
    let caller = Sidecar::start(&world, &placement, 1, &[]);
    let request = ActorRequest::new(ActorKey::new("unicorn", "1"), "neigh");
    let error = caller.actors.invoke(request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "did not find address for actor 'unicorn||1'"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stops_keeps_its_actors_until_their_calls_are_over() {
    let (world, placement) = (Arc::new(World::default()), placement().await);
    let leaving = Sidecar::start(&world, &placement, 1, &["cat"]);
    let caller = Arc::new(Sidecar::start(&world, &placement, 9, &[]));
    leaving.has_table().await;
    caller.has_table().await;
    caller.call_all().await;
    let staying = Sidecar::start(&world, &placement, 2, &["cat"]);
    staying.has_table().await;
    let served = caller.call_all().await;
    let (id, _) = served
        .iter()
        .find(|(_, host)| *host == "10.0.0.1:50002")
        .expect("it has a share");

    let call = |method: &'static str| {
        let (caller, actor) = (Arc::clone(&caller), ActorKey::new("cat", id.to_string()));
        tokio::spawn(async move { caller.actors.invoke(ActorRequest::new(actor, method)).await })
    };
    let nap = call("nap");
    eventually("the nap has begun", async || {
        let executing = world.executing.lock().contains_key(&id.to_string());
        if executing { Ok(()) } else { Err("not yet") }
    })
    .await;
    let stopping = tokio::spawn(leaving.stop());
    eventually("the other host has the actor", async || {
        let answer = call("purr").await.expect("no panic").expect("it succeeds");
        if answer.data == "10.0.0.2:50002" {
            Ok(())
        } else {
            Err("still the old one")
        }
    })
    .await;
    nap.await.expect("no panic").expect("it may end");
    stopping.await.expect("it stops");
    assert_eq!(*world.overlaps.lock(), [""; 0]);
}
