//! Actors as the sidecar's APIs see them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trilby_components::state::{Item, NamedStore, Operation};
use trilby_placement_protocol::client::{Lease, Routing};
use trilby_resiliency::Resiliency;

use crate::claims::Claims;
use crate::host::Host;
use crate::lease::LeaseGate;
use crate::state::ActorState;
use crate::status::{ActiveActors, RuntimeStatus, Status};
use crate::{ActorError, ActorKey, AppCallback, HostedActors, Observer, Peers, StateTtl};

/// Who this sidecar is, and how it treats actors.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The app.
    pub app_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Where other sidecars reach this one: `ip:port` of its internal API. Placement's tables name it so.
    pub host_address: String,
    /// How long to wait for the next order of a round (`--actors-disseminate-timeout`).
    pub disseminate_timeout: Duration,
    /// Whether keys of actors may expire.
    pub state_ttl: StateTtl,
}

/// What the actor runtime needs from the rest of the sidecar.
pub struct Surroundings {
    /// The app.
    pub app: Arc<dyn AppCallback>,
    /// Other sidecars.
    pub peers: Arc<dyn Peers>,
    /// The state store of the actors, while there is one.
    pub store: watch::Receiver<Option<NamedStore>>,
    /// Told what happens to actors.
    pub observer: Arc<dyn Observer>,
    /// Which actor types have policies of their own, the retries of those that have none, and what applies to the
    /// state store.
    pub resiliency: Resiliency,
}

/// The actor runtime. Cheap to clone.
#[derive(Clone)]
pub struct Actors {
    /// `None` without a placement address.
    runtime: Option<Arc<Runtime>>,
}

pub(crate) struct Runtime {
    pub(crate) settings: Settings,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) resiliency: Resiliency,
    pub(crate) store: watch::Receiver<Option<NamedStore>>,
    /// `None`: not known yet, or the app is away.
    pub(crate) hosted: watch::Sender<Option<Arc<HostedActors>>>,
    /// Read by every call, without a lock.
    pub(crate) routing: ArcSwap<Routing>,
    /// Bumped after each new routing.
    pub(crate) routings: watch::Sender<u64>,
    /// Whether actors may be called here.
    pub(crate) lease: LeaseGate,
    pub(crate) claims: Claims,
    pub(crate) host: Host,
    pub(crate) connected: AtomicBool,
    pub(crate) ready: AtomicBool,
    pub(crate) closed: CancellationToken,
}

// === impl Actors ===

impl Actors {
    /// Actors without placement: every operation fails with [`ActorError::NoPlacement`].
    pub fn disabled() -> Self {
        Self { runtime: None }
    }

    /// The runtime; it does nothing until [`Actors::run`].
    pub fn new(settings: Settings, surroundings: Surroundings) -> Self {
        let runtime = Runtime {
            settings,
            peers: surroundings.peers,
            resiliency: surroundings.resiliency,
            store: surroundings.store,
            hosted: watch::Sender::new(None),
            routing: ArcSwap::default(),
            routings: watch::Sender::new(0),
            lease: LeaseGate::new(),
            claims: Claims::default(),
            host: Host::new(surroundings.app, surroundings.observer),
            connected: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            closed: CancellationToken::new(),
        };
        Self {
            runtime: Some(Arc::new(runtime)),
        }
    }

    /// Keeps the stream to placement open along `route`, and deactivates idle actors, until
    /// `shutdown`; then brings the calls under way to an end and deactivates what is active.
    pub async fn run(&self, route: crate::Route, shutdown: CancellationToken) {
        if let Some(runtime) = &self.runtime {
            crate::placement::run(Arc::clone(runtime), route, shutdown).await;
        }
    }

    /// What the app hosts from now on; `None` while it is not known, as before the app's first answer
    /// and while it is unhealthy: calls wait then.
    pub fn set_hosted(&self, hosted: Option<HostedActors>) {
        if let Some(runtime) = &self.runtime {
            runtime.hosted.send_replace(hosted.map(Arc::new));
        }
    }

    /// Reads a key of an actor; the actor need not be active.
    ///
    /// # Errors
    /// See [`ActorError`].
    pub async fn get_state(&self, actor: &ActorKey, key: &str) -> Result<Option<Item>, ActorError> {
        let runtime = self.runtime_for(actor)?;
        runtime.registered().await?;
        let state = runtime.state_of(actor)?;
        let claim = runtime.claims.claim(&actor.actor_type);
        let read = claim.run(state.get(key)).await;
        read.unwrap_or_else(|| {
            Err(ActorError::StateGet(
                crate::router::TABLE_UPDATED.to_owned(),
            ))
        })
    }

    /// Writes and deletes keys of an actor together. Keys are the actor's own names for them.
    ///
    /// # Errors
    /// [`ActorError::InstanceMissing`] unless the actor is active here; see [`ActorError`].
    pub async fn transact_state(
        &self,
        actor: &ActorKey,
        operations: Vec<Operation>,
    ) -> Result<(), ActorError> {
        let runtime = self.runtime_for(actor)?;
        runtime.registered().await?;
        let state = runtime.state_of(actor)?;
        if !runtime.host.is_active(actor) {
            return Err(ActorError::InstanceMissing);
        }
        let claim = runtime.claims.claim(&actor.actor_type);
        let updated = || ActorError::StateTransaction(crate::router::TABLE_UPDATED.to_owned());
        if !runtime.lease.is_open() {
            return Err(updated());
        }
        let written = claim
            .run(state.transact(operations, runtime.settings.state_ttl))
            .await;
        written.unwrap_or_else(|| Err(updated()))
    }

    /// For the metadata API.
    pub fn status(&self) -> Status {
        match &self.runtime {
            Some(runtime) => runtime.status(),
            None => Status {
                runtime: RuntimeStatus::Disabled,
                active: Vec::new(),
                host_ready: false,
                connected: false,
            },
        }
    }

    pub(crate) fn runtime(&self) -> Result<&Arc<Runtime>, ActorError> {
        let runtime = self.runtime.as_ref().ok_or(ActorError::NoPlacement)?;
        if runtime.closed.is_cancelled() {
            return Err(ActorError::Closed);
        }
        Ok(runtime)
    }

    fn runtime_for(&self, actor: &ActorKey) -> Result<&Arc<Runtime>, ActorError> {
        if actor.is_reserved() {
            return Err(ActorError::Reserved(actor.actor_type.to_string()));
        }
        self.runtime()
    }
}

// === impl Runtime ===

impl Runtime {
    /// Waits until it is known what the app hosts.
    pub(crate) async fn registered(&self) -> Result<Arc<HostedActors>, ActorError> {
        let mut hosted = self.hosted.subscribe();
        let known = async {
            let known = hosted.wait_for(Option::is_some).await;
            known.ok().and_then(|known| known.clone())
        };
        let known = self.closed.run_until_cancelled(known).await;
        known.flatten().ok_or(ActorError::Closed)
    }

    /// Actors are hosted only while there is a store for their state.
    pub(crate) fn entities(&self) -> Vec<Arc<str>> {
        let hosted = self.hosted.borrow().clone();
        match hosted {
            Some(hosted) if self.store.borrow().is_some() => hosted.types().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Calls that waited for the lease look again when it opens.
    pub(crate) fn set_lease(&self, lease: Lease) {
        let was_open = self.lease.is_open();
        self.lease.set(lease);
        if !was_open && self.lease.is_open() {
            self.routings.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn publish(&self, routing: Arc<Routing>) {
        self.routing.store(routing);
        self.routings.send_modify(|count| *count += 1);
    }

    fn state_of<'a>(&'a self, actor: &'a ActorKey) -> Result<ActorState<'a>, ActorError> {
        let store = self
            .store
            .borrow()
            .clone()
            .ok_or(ActorError::NoStateStore)?;
        Ok(ActorState {
            store,
            resiliency: &self.resiliency,
            app_id: &self.settings.app_id,
            actor,
        })
    }

    fn status(&self) -> Status {
        let hosted = self.hosted.borrow().clone();
        let counts = self.host.counts();
        let active = hosted
            .iter()
            .flat_map(|hosted| hosted.types())
            .map(|actor_type| ActiveActors {
                actor_type: actor_type.to_string(),
                count: counts.get(actor_type).copied().unwrap_or_default(),
            });
        Status {
            runtime: if hosted.is_some() {
                RuntimeStatus::Running
            } else {
                RuntimeStatus::Initializing
            },
            active: active.collect(),
            host_ready: self.ready.load(Relaxed),
            connected: self.connected.load(Relaxed),
        }
    }
}
