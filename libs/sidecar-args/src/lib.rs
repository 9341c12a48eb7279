//! The contract between injector and sidecar: annotation keys, flags, environment names, ports and paths.
//!
//! [`SidecarArgs`] is the command line of `daprd` as one typed value. The injector fills it and renders it into
//! the container's arguments ([`SidecarArgs::render`]); the sidecar parses it back. Whatever renders, parses to
//! the same value.
//!
//! Absent on purpose: Kubernetes types, files, sockets, and what the sidecar does with a setting. Go's single-dash
//! spelling (`-app-id`) is normalised before parsing, by the process bootstrap that every binary shares.

pub mod annotation;
mod args;
pub mod env;
mod list;
pub mod mount;
pub mod port;
mod values;
mod written;

pub use args::{
    ApiArgs, AppArgs, AppHealthArgs, ControlPlaneArgs, ObservabilityArgs, ProcessArgs,
    ResourceArgs, SidecarArgs,
};
pub use list::{CommaList, entries};
pub use trilby_go_syntax::{Quantity, QuantityError};
pub use values::{
    AppProtocol, AppProtocolError, InitEndpoint, InitEndpointError, LogLevel, LogLevelError, Mode,
    ModeError,
};
pub use written::Written;
