//! Whole sidecars inside this process: real sockets, real mutual TLS with certificates of a throw-away sentry,
//! real applications; no other process.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod actors;
mod app;
mod bindings;
mod collector;
mod encryption;
mod external;
mod faulty_app;
mod grpc_app;
mod grpc_echo;
mod health;
mod invocation;
mod invocation_grpc;
mod lock;
mod metadata;
mod metrics;
mod placement;
mod proxy;
mod query;
mod resiliency;
mod resources;
mod secrets;
mod security;
mod sentry;
mod sidecar;
mod state;
mod tracing;
