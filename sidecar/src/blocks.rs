//! The building blocks: each operation once, in the sidecar's own terms. The APIs in front decode, call
//! and encode; nothing here knows whether HTTP or gRPC asked.

pub mod actors;
pub mod bindings;
pub mod configuration;
pub mod crypto;
mod guarded;
pub mod invoke;
pub mod lock;
pub mod metadata;
pub mod pubsub;
pub mod secrets;
pub mod state;
pub mod subscriptions;

/// Every block of one sidecar.
#[derive(Debug)]
pub struct Blocks {
    /// Service invocation.
    pub invoke: invoke::Invoker,
    /// State.
    pub state: state::State,
    /// Secrets.
    pub secrets: secrets::Secrets,
    /// Locks.
    pub lock: lock::Locks,
    /// Configuration.
    pub configuration: configuration::Configuration,
    /// Messages.
    pub pubsub: pubsub::PubSub,
    /// Subscriptions.
    pub subscriptions: subscriptions::Subscriptions,
    /// Bindings.
    pub bindings: bindings::Bindings,
    /// Cryptography.
    pub crypto: crypto::Crypto,
    /// Actors.
    pub actors: actors::ActorBlock,
    /// Metadata.
    pub metadata: metadata::Metadata,
}
