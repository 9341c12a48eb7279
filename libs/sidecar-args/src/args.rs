//! The command line of `daprd`.

mod api;
mod app;
mod control_plane;
mod process;
mod render;
mod resources;

pub use api::ApiArgs;
pub use app::{AppArgs, AppHealthArgs};
pub use control_plane::ControlPlaneArgs;
pub use process::{ObservabilityArgs, ProcessArgs};
pub use resources::ResourceArgs;

use crate::Mode;

/// Every flag of `daprd`, typed. Defaults are what an empty command line gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Parser)]
#[command(name = "daprd", disable_version_flag = true)]
pub struct SidecarArgs {
    /// Where the sidecar runs.
    #[arg(long, default_value_t = Mode::Standalone)]
    pub mode: Mode,
    /// The app behind the sidecar.
    #[command(flatten)]
    pub app: AppArgs,
    /// The sidecar's own APIs.
    #[command(flatten)]
    pub api: ApiArgs,
    /// The control plane and the identity it gives.
    #[command(flatten)]
    pub control_plane: ControlPlaneArgs,
    /// What the sidecar loads, and from where.
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Logs, metrics, profiles.
    #[command(flatten)]
    pub observability: ObservabilityArgs,
    /// The process: how it starts and ends.
    #[command(flatten)]
    pub process: ProcessArgs,
}

#[cfg(test)]
mod tests;
