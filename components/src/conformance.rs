//! Suites that every backend of a block has to pass. A backend's tests call them on a live store; a broken
//! rule panics with its name.

pub mod configuration;
pub mod crypto;
pub mod lock;
pub mod pubsub;
pub mod secret;
pub mod state;
