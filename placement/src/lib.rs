//! Keeps the table that says which sidecar hosts which actor, and hands every sidecar of a namespace
//! the same one.
//!
//! ```text
//! sidecar ══stream══▶ api::Session ──mpsc──▶ hub ─▶ placement-protocol: one machine per namespace
//!         ◀══════════ orders, encoded once ◀─────┘
//! ```
//!
//! A session checks what a sidecar says against its identity; the hub, one task, drives the machines
//! and their timers. Tables live in memory only: whoever restarts this process makes all sidecars
//! report anew.
//!
//! Of several replicas one leads and serves the sidecars; see `leadership`.
//!
//! Deliberately absent: how an actor is called.

mod api;
mod app;
mod args;
mod config;
mod hub;
mod leadership;
mod metrics;
mod security;
mod state;
mod wire;

pub use app::{Bound, build};
pub use args::Args;
pub use config::{AddressCheck, Config, ConfigError, Environment, LeaderElection};
pub use leadership::{Cluster, ClusterError, Member};
