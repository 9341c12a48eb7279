//! Admission webhook that puts a sidecar into annotated pods.

mod admission;
mod args;
mod complaint;
mod glob;
pub mod injection;
mod metrics;
mod requester;
mod review;
mod server;
mod settings;
mod system_configuration;
mod webhook;

pub use args::Args;
pub use requester::{AccountError, Requesters};
pub use settings::{Settings, SettingsError};
