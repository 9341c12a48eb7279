//! The middleware of this crate against a provider that speaks the real protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod bearer;
mod code;
mod credentials;
mod provider;
mod support;
