//! `state.postgresql` on a real server, and what shares its code.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod cleaning;
mod cockroach;
mod concurrency;
mod faults;
mod layout;
mod limits;
mod login;
mod store;
mod support;
