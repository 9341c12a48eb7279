//! Actors of the sidecar: which sidecar hosts an actor, calls to it wherever it is, one turn at a time, its state.
//!
//! Data flow: [`Actors::run`] keeps the stream to placement and feeds the client machine of
//! `trilby-placement-protocol`; what that publishes is the routing which every call reads without a lock. A call
//! claims its actor type, looks the owner up, and runs in the actor's turn here or at a peer. When a round moves a
//! type, its claims are drained before this sidecar acknowledges: no actor runs in two places.
//!
//! The app, other sidecars and the store come from outside ([`AppCallback`], [`Peers`], [`Surroundings`]).
//! Deliberately absent: HTTP, gRPC servers, the app's protocol, reminders (the scheduler service fires them).

mod app;
mod claims;
mod error;
mod host;
mod hosted;
mod key;
mod lease;
mod message;
mod observer;
mod peers;
mod placement;
mod router;
mod runtime;
mod state;
mod status;
#[cfg(test)]
mod testing;
mod turn;
mod wire;

pub use app::{AppCallback, AppFailure, TimerFire};
pub use error::ActorError;
pub use hosted::{
    AppConfig, ConfigError, DEFAULT_DRAIN_TIMEOUT, DEFAULT_IDLE_TIMEOUT, DEFAULT_STACK_DEPTH,
    EntityConfig, HostedActors, Reentrancy, TypeSettings,
};
pub use key::{ActorKey, is_reserved};
pub use message::{
    ActorRequest, ActorResponse, ERROR_RESPONSE_HEADER, HttpCall, Metadata, REENTRANCY_HEADER,
    first,
};
pub use observer::Observer;
pub use peers::{Peer, Peers};
pub use placement::Route;
pub use runtime::{Actors, Settings, Surroundings};
pub use state::StateTtl;
pub use status::{ActiveActors, RuntimeStatus, Status};
