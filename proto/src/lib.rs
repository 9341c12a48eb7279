//! Dapr's wire contract: our own `.proto` files (same packages, names, numbers and types as
//! upstream's) and the code generated from them. Nothing else lives here: conversions to domain
//! types belong to the crate that uses them.
//!
//! Additions of ours never touch these packages: they go into a service in a package of its own,
//! whose absence (`Unimplemented`) is normal.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_imports,
    clippy::too_many_lines,
    reason = "generated code; the documentation stands in the .proto files"
)]
/// Everything, by package. The workflow engine's `TaskHubSidecarService` has no package on the wire,
/// so its types stand at this module's root.
pub mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_imports,
    clippy::too_many_lines,
    reason = "generated code; its documentation is OpenTelemetry's"
)]
mod telemetry {
    include!(concat!(env!("OUT_DIR"), "/opentelemetry.rs"));
}

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_imports,
    clippy::too_many_lines,
    reason = "generated code; the documentation stands in the .proto files"
)]
mod additions {
    include!(concat!(env!("OUT_DIR"), "/additions.rs"));
}

/// Additions of ours to Dapr's API.
pub use additions::trilby;
pub use generated::dapr::proto::{
    common, components, internals, operator, placement, runtime, scheduler, sentry, workflows,
};
pub use generated::durabletask;
pub use telemetry::opentelemetry::proto as opentelemetry;

/// The compiled `FileDescriptorSet` of every file, imports included, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// As [`DESCRIPTOR_SET`], of the additions of ours.
pub const ADDITIONS_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/additions.bin"));
