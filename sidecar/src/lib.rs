//! The Dapr sidecar: application-facing APIs over building blocks.
//!
//! ```text
//! app ─► api/{http,grpc} ─► blocks ─► resources (stores), actors, peers ─► other sidecars
//! other sidecars ─► api/internal ─► acl ─► blocks ─► channel ─► app
//! ```
//!
//! `api` decodes and encodes, `blocks` holds each operation once, `channel` is the way to the application.
//! [`app`] wires everything and starts it. Deliberately absent: what resources are and how they are loaded
//! (`trilby-resources`), how actors are placed and run (`trilby-actors`), vendors (`components/*`).

pub mod acl;
pub mod api;
pub mod app;
pub mod app_health;
pub mod backends;
pub mod blocks;
pub mod channel;
pub mod config;
pub mod environment;
pub mod error;
pub mod health;
pub mod host;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod path;
pub mod payload;
pub mod peers;
pub mod pipeline;
pub mod process;
pub mod resolver;
pub mod shutdown;
pub mod tokens;
pub mod tracing_context;
pub mod wait;
