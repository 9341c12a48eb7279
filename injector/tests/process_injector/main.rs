//! The injector's program against a real API server, with an authority that issues like sentry.
#![expect(
    clippy::unwrap_used,
    reason = "the harness of a test may panic as the test may"
)]

mod admission;
mod authority;
mod ca_bundle;
mod installation;
mod outage;
mod repair;
mod rights;
mod rotation;
mod rough;
mod start;
mod tls;
mod workloads;
