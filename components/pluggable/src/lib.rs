//! Components that are processes of their own: each serves Dapr's component API (`dapr.proto.components.v1`) on a unix
//! socket in one folder, and its socket's name is its type.
//!
//! ```text
//! folder:     what sockets there are
//! reflection: socket ─▶ what it serves
//! discovery:  both of these as events ─▶ what to ask whom, and when again (pure)
//! host:       runs that; answers which types there are
//! connection: a socket ─▶ a transport of gRPC
//! session:    a component on it: connected and initialised, again after each restart of the process
//! state, secrets: the blocks, over a session; errors: the words in which components fail
//! ```
//!
//! A socket may come, go and come again at any time; one that does not answer costs nobody else anything. A further
//! block is a row in [`services`] and a module beside `state`.
//!
//! Deliberately absent: blocks that components of upstream cannot serve either (configuration, lock, crypto); and
//! retries, which wrap the traits.

mod connection;
mod discovery;
mod errors;
mod folder;
mod host;
mod reflection;
mod secrets;
mod services;
mod session;
mod state;
#[cfg(feature = "testing")]
pub mod testing;

pub use host::{Pluggable, host};
