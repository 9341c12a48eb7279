//! Building blocks as traits, and everything that is the same for every backend of a block: typed
//! decoding of component metadata, the registry of component types, the in-memory backends and the
//! suites that a backend has to pass.
//!
//! Data flow: `sidecar/resources` decodes a Component, resolves its secrets into [`metadata::Metadata`]
//! and asks the [`registry::Registry`] for an instance; the sidecar's APIs and actors call the traits.
//!
//! Deliberately absent: vendor clients (one crate a technology beside this one), the HTTP and gRPC
//! APIs, custom resource types, retries (they wrap the traits), and any task: a backend that needs
//! upkeep does it in the calls it gets, or in a `keep` that its owner polls.

pub mod binding;
pub mod causes;
pub mod configuration;
pub mod crypto;
pub mod definition;
pub mod in_memory;
pub mod lock;
pub mod metadata;
pub mod middleware;
pub mod name_resolution;
pub mod pubsub;
pub mod registry;
pub mod secret;
pub mod state;
pub mod workload;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::collections::BTreeMap;

/// Metadata of one request, as the application sent it. Keys are case-sensitive.
pub type RequestMetadata = BTreeMap<String, String>;
