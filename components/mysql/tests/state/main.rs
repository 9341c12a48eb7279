//! `state.mysql` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod cleaning;
mod concurrency;
mod faults;
mod layout;
mod limits;
mod login;
mod store;
mod support;
