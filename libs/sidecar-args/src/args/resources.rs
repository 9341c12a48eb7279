//! Flags about what the sidecar loads.

use std::time::Duration;

use clap::ArgAction;
use trilby_go_syntax::{DurationError, GoDuration, parse_bool};

use crate::{CommaList, InitEndpoint, InitEndpointError, Written, list::entries};

/// Upstream's time between two full comparisons.
const DEFAULT_RECONCILE_INTERVAL: Duration = Duration::from_secs(60);

/// What the sidecar loads, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct ResourceArgs {
    /// Folders of resources; repeatable.
    #[arg(long, allow_hyphen_values = true)]
    pub resources_path: Vec<CommaList>,
    /// Deprecated: a folder of resources, used only without `--resources-path`.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub components_path: String,
    /// Name of the Configuration in Kubernetes, else files of which later ones win.
    #[arg(long, allow_hyphen_values = true)]
    pub config: Vec<CommaList>,
    /// Time between two full comparisons with the source of resources; 60 s unless set or 0.
    #[arg(long, allow_hyphen_values = true)]
    pub hot_reload_reconcile_interval: Option<Written<GoDuration>>,
    /// Turns the built-in Kubernetes secret store off.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub disable_builtin_k8s_secret_store: bool,
    /// Endpoints of the app that are not asked at start: `config`, `subscribe`.
    #[arg(long, allow_hyphen_values = true)]
    pub disable_init_endpoints: Vec<CommaList>,
}

// === impl ResourceArgs ===

impl ResourceArgs {
    /// Folders of resources, in the order given.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let paths: Vec<&str> = entries(&self.resources_path).collect();
        if paths.is_empty() && !self.components_path.is_empty() {
            return vec![&self.components_path];
        }
        paths
    }

    /// Names of Configurations, in the order given.
    #[must_use]
    pub fn configurations(&self) -> Vec<&str> {
        entries(&self.config).collect()
    }

    /// Time between two full comparisons with the source of resources.
    ///
    /// # Errors
    /// For a text that is no duration, which the command line refuses.
    pub fn reconcile_interval(&self) -> Result<Duration, DurationError> {
        let given = match &self.hot_reload_reconcile_interval {
            Some(written) => written.get()?.0,
            None => Duration::ZERO,
        };
        Ok(if given.is_zero() {
            DEFAULT_RECONCILE_INTERVAL
        } else {
            given
        })
    }

    /// Endpoints of the app that are not asked at start.
    ///
    /// # Errors
    /// For a word that is no such endpoint.
    pub fn disabled_endpoints(&self) -> Result<Vec<InitEndpoint>, InitEndpointError> {
        entries(&self.disable_init_endpoints)
            .map(str::parse)
            .collect()
    }
}
