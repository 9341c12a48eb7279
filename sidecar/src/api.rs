//! What the sidecar serves: HTTP and gRPC to its application, gRPC to other sidecars.
//!
//! Everything here decodes, calls a block, and encodes.

pub mod grpc;
pub mod http;
pub mod internal;
mod rules;
mod subtle;
mod traced;

pub use rules::{ApiRules, Protocol as RuleProtocol, Rule};
