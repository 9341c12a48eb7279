//! Command line of the injector.

use std::num::NonZeroU32;

use trilby_bootstrap::args::{HealthArgs, LogArgs, MetricsArgs};
use trilby_go_syntax::parse_bool;

use crate::unserved::Mode;

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
    /// What becomes of pods that ask for a sidecar and have none: off, warn or repair. Not known upstream.
    #[arg(long, default_value = "off", value_enum)]
    pub pods_without_sidecar: PodsWithoutSidecar,
    /// Pods that repair evicts in a minute, at most. Not known upstream.
    #[arg(long, default_value = "20")]
    pub repairs_per_minute: NonZeroU32,
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

/// What becomes of pods that ask for a sidecar and have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PodsWithoutSidecar {
    /// Nobody looks.
    Off,
    /// Events and a metric.
    Warn,
    /// Their controllers make them anew, too.
    Repair,
}

impl Args {
    pub(crate) fn unserved(&self) -> Option<Mode> {
        match self.pods_without_sidecar {
            PodsWithoutSidecar::Off => None,
            PodsWithoutSidecar::Warn => Some(Mode::Warn),
            PodsWithoutSidecar::Repair => Some(Mode::Repair(self.repairs_per_minute)),
        }
    }
}
