//! gRPC over mutual TLS with SPIFFE identities: what tonic leaves open, for every process here.
//!
//! - [`server::serve`]: one accept loop for tonic and axum services; knows the peer of every request.
//! - [`client::Channel`]: a connection that is made when needed and made again when lost, and that
//!   says in words why it could not be made.
//! - [`follow()`]: keeps a server stream open for as long as the process lives.
//! - [`Backoff`]: how long to wait between attempts.
//! - [`status`] and [`rpc`]: the details of a status, and its name in Go's words.
//!
//! Deliberately absent: the messages of any service.

mod backoff;
pub mod client;
pub mod follow;
mod peer;
pub mod rpc;
pub mod server;
pub mod status;
#[cfg(test)]
mod testing;

pub use backoff::Backoff;
pub use client::{Channel, ChannelConfig, Liveness, Target, channel};
pub use follow::{Follower, follow};
pub use peer::{PeerIdentity, peer};
pub use server::{Listener, Protocols, ServeConfig, serve};
