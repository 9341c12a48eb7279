//! One process: flags, logs, health, metrics, signals, supervised tasks, drain.
//!
//! A service's `main` reads its flags with [`args::parse`] and hands a build function to [`run()`]. The build
//! function gets a [`Process`]: it takes readiness latches from it, registers its metrics in it, and spawns its
//! long-running tasks on it. The process is ready when the build function has returned and every latch is set;
//! it stops when a signal arrives or a task ends, whichever is first.
//!
//! Nothing here knows what a service does: no domain types, no Kubernetes, no gRPC.

mod admin;
pub mod args;
mod descriptors;
mod hangup;
pub mod log;
mod memory;
mod metrics;
pub mod net;
mod process;
mod readiness;
mod run;
mod unprivileged;
pub mod version;

pub use admin::AdminReply;
pub use hangup::Hangups;
pub use metrics::{Exposition, Scrape};
pub use process::{Process, TaskEnded};
pub use readiness::{Latch, Readiness};
pub use run::{ServiceConfig, run};
pub use unprivileged::{ROOT_ALLOWED, RunsAsRoot, refuse_root, root_allowed, user_id};
