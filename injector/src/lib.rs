//! Admission webhook that puts a sidecar into annotated pods.
//!
//! ```text
//! API server ──review──▶ server ──▶ admission ──▶ injection (pure) ──▶ patch
//!                                      ▲ trust anchors (identity), mTLS (system configuration)
//! API server ◀──caBundle── webhook (keeper) ◀── trust anchors
//! ```
//!
//! - The decision about a pod is a pure function; nothing is asked of anybody while a review waits.
//! - A pod is never refused because the injector is unwell: what fails is retried, and readiness says why.
//!
//! Deliberately absent: containers that Components declare (`dapr.io/inject-pluggable-components`), which a pod's
//! author is told; and the list of all service accounts, since a requester's name already says who it is.

mod admission;
mod app;
mod args;
mod glob;
mod identity;
pub mod injection;
mod metrics;
mod registration;
mod requester;
mod review;
mod server;
mod settings;
mod system_configuration;

pub use app::{Bound, Config, build};
pub use args::Args;
pub use requester::{AccountError, Requesters};
pub use settings::{Settings, SettingsError};
