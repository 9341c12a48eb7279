//! Dapr's consistent-hash ring, point for point.
//!
//! Every sidecar of a namespace builds its rings on its own, from the hosts that placement names.
//! They agree on who owns an actor only because they compute exactly the same points, so this
//! layout is part of the protocol: nothing in it may be tuned.
//!
//! Deliberately absent: actors, addresses, networking, load. A host is a string.

mod point;
mod ring;

pub use point::hash;
pub use ring::Ring;
