//! Serves Dapr's resources to sidecars, and keeps the Services that sidecars are found by.
//!
//! ```text
//! API server ──watch──▶ store (pure fold) ──▶ views, one per namespace ──▶ api: List*, Get*, streams
//!                  secrets, on demand ──┘
//!            ──watch──▶ services (leader only): plan (pure) ──▶ execute
//! store, sidecars ─────▶ reports (pure) ──▶ status (leader only)
//!            ──list───▶ watchdog (leader only, if asked for): judgement (pure)
//!            ──POST───▶ conversion (pure), registered in the definition of Subscriptions
//!            ──POST───▶ validation: facts on demand, findings (pure)
//! ```
//!
//! - A resource is rendered and encoded once, by one serialiser, and its bytes are shared by every reply and every
//!   stream.
//! - A stream holds no queue of its own: it compares the view it last sent with the current one, so that changes
//!   coalesce by object and a slow sidecar costs itself only.
//! - Secrets are read only when a resource refers to them, kept only as far as it does, and read again regularly;
//!   a missing one leaves its own resource without a value and touches nothing else.
//!
//! Deliberately absent: what a sidecar does with a resource.

mod api;
mod app;
mod args;
mod cluster;
mod conversion;
mod drift;
mod events;
mod leader;
mod metrics;
mod pods;
mod reports;
mod resource;
mod services;
mod settings;
mod status;
mod store;
mod validation;
mod view;
mod watch;
mod watchdog;
mod webhooks;
mod wire;

pub use app::{Bound, Config, Listen, build};
pub use args::Args;
pub use drift::Upgrade;
pub use leader::Election;
pub use services::Reconcile;
pub use validation::{
    ActorStore, Facts, Finding, Severity, Strictness, answer_without_facts, findings,
};
pub use watchdog::{Interval, WatchdogSettings};
