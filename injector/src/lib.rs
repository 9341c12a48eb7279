//! Admission webhook that puts a sidecar into annotated pods.
//!
//! ```text
//! API server ──review──▶ server ──▶ admission ──▶ injection (pure) ──▶ patch
//!                                      ▲ trust anchors (identity), mTLS (system configuration),
//!                                      │ containers that Components declare, the cluster's version
//!                                      └─▶ telling ──Events──▶ API server
//! API server ◀──caBundle── webhook (keeper) ◀── trust anchors
//! API server ──pods──▶ unserved ──▶ Events, evictions: pods that came past the webhook
//! ```
//!
//! - The decision about a pod is a pure function; nothing is asked of anybody while a review waits.
//! - A pod is never refused because the injector is unwell: what fails is retried, and readiness says why.
//!
//! Deliberately absent: the list of all service accounts, whose UIDs upstream compares as well. The API server itself
//! names the requester, and a service account's name is its own: whoever has the UID of a listed account has its name, so
//! names alone decide the same, also of accounts that are made after the injector's start.

mod admission;
mod app;
mod args;
mod component_containers;
mod glob;
mod identity;
pub mod injection;
mod metrics;
mod news;
mod pace;
mod registration;
mod requester;
mod review;
mod server;
mod server_version;
mod settings;
mod system_configuration;
mod telling;
mod unserved;

pub use admission::answer_as_installed;
pub use app::{Bound, Config, build};
pub use args::Args;
pub use requester::{AccountError, Requesters};
pub use settings::{Settings, SettingsError};
pub use unserved::Mode;
