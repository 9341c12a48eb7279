//! Whole sidecars inside this process: real sockets, real mutual TLS with certificates of a throw-away sentry,
//! real applications; no other process.

mod app;
mod grpc_app;
mod invocation;
mod invocation_grpc;
mod metadata;
mod resources;
mod security;
mod sentry;
mod sidecar;
mod state;
