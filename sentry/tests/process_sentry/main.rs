//! The `sentry` binary against a real API server, and alone with files.

#![expect(
    clippy::unwrap_used,
    reason = "what helps a test fails as the test does"
)]

mod bundle;
mod caller;
mod client;
mod external;
mod jwks;
mod kubernetes;
mod malicious;
mod renewal;
mod rotation;
mod standalone;
mod tokens;
