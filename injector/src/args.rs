//! Command line of the injector.

use trilby_bootstrap::args::{HealthArgs, LogArgs, MetricsArgs};
use trilby_go_syntax::parse_bool;

/// Flags. What every sidecar shares comes from the environment instead.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "injector")]
pub struct Args {
    /// Port of the webhook.
    #[arg(long, default_value_t = 4000)]
    pub port: u16,
    /// Address of the webhook; empty is every interface.
    #[arg(long, default_value = "")]
    pub listen_address: String,
    /// Tells sidecars of the scheduler.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = true, action = clap::ArgAction::Set, value_parser = parse_bool)]
    pub scheduler_enabled: bool,
    /// Kubeconfig file, used outside a cluster; empty is that of the user.
    #[arg(long, default_value = "")]
    pub kubeconfig: String,
    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
    /// Health.
    #[command(flatten)]
    pub health: HealthArgs,
    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricsArgs,
}
