//! Both halves of placement dissemination as pure state machines.
//!
//! Placement gathers which sidecar hosts which actor types and hands every sidecar of a namespace
//! the same table. A change travels in a *round* of three phases under one version: all are told to
//! `lock`, then given the table (`update`), then told to `unlock`; a phase ends when all have
//! acknowledged it. Between `update` and `unlock` nobody starts a call to an actor type whose hosts
//! changed, so no actor is ever served by two sidecars.
//!
//! [`server::Namespace`] runs the rounds of one namespace; [`client::Client`] is a sidecar's answer
//! to them. Each consumes events with the time at which they happened and returns the actions that
//! follow, so that one simulation can drive both. Deliberately absent: sockets, clocks, tasks, and
//! the messages on the wire, which belong to the crates that drive these machines.

pub mod client;
pub mod election;
pub mod extension;
mod phase;
pub mod server;

pub use phase::Phase;
