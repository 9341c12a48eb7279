//! Flags about the process itself.

use std::time::Duration;

use clap::ArgAction;
use trilby_go_syntax::{DurationError, GoDuration, parse_bool};

use crate::{LogLevel, Written, port};

/// Seconds; upstream's bound of a graceful shutdown.
const DEFAULT_GRACE: i64 = 5;

/// Logs, metrics, profiles.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ObservabilityArgs {
    /// How much is logged.
    #[arg(long, default_value = "info", allow_hyphen_values = true)]
    pub log_level: Written<LogLevel>,
    /// JSON logs.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub log_as_json: bool,
    /// File for the log; empty is standard output.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub log_file: String,
    /// Metrics endpoint.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set, value_parser = parse_bool)]
    pub enable_metrics: bool,
    /// Port of the metrics endpoint.
    #[arg(long, default_value = "9090", value_parser = port::parse)]
    pub metrics_port: u16,
    /// Address of the metrics endpoint.
    #[arg(long, default_value = "0.0.0.0", allow_hyphen_values = true)]
    pub metrics_listen_address: String,
    /// Profiling endpoint.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub enable_profiling: bool,
    /// Port of the profiling endpoint.
    #[arg(long, default_value = "7777", allow_negative_numbers = true, value_parser = port::parse_profile)]
    pub profile_port: u16,
}

/// The process: how it starts and ends.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ProcessArgs {
    /// Bound of a graceful shutdown in seconds; 0 is none, below 0 the default.
    #[arg(long, default_value_t = DEFAULT_GRACE, allow_negative_numbers = true)]
    pub dapr_graceful_shutdown_seconds: i64,
    /// How long a shutdown keeps serving, unless the app becomes unhealthy before.
    #[arg(long, allow_hyphen_values = true)]
    pub dapr_block_shutdown_duration: Option<Written<GoDuration>>,
    /// Prints the version and exits.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub version: bool,
    /// Prints version, commit and build, and exits.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub build_info: bool,
    /// Waits for a sidecar on this machine to be ready for outbound calls, and exits.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub wait: bool,
}

// === impl ObservabilityArgs ===

impl Default for ObservabilityArgs {
    fn default() -> Self {
        Self {
            log_level: Written::unchecked("info"),
            log_as_json: false,
            log_file: String::new(),
            enable_metrics: true,
            metrics_port: port::METRICS,
            metrics_listen_address: "0.0.0.0".into(),
            enable_profiling: false,
            profile_port: port::PROFILE,
        }
    }
}

// === impl ProcessArgs ===

impl Default for ProcessArgs {
    fn default() -> Self {
        Self {
            dapr_graceful_shutdown_seconds: DEFAULT_GRACE,
            dapr_block_shutdown_duration: None,
            version: false,
            build_info: false,
            wait: false,
        }
    }
}

impl ProcessArgs {
    /// Bound of a graceful shutdown; `None` is no bound.
    #[must_use]
    pub fn grace(&self) -> Option<Duration> {
        let seconds = match self.dapr_graceful_shutdown_seconds {
            0 => return None,
            given @ 1.. => given,
            _ => DEFAULT_GRACE,
        };
        Some(Duration::from_secs(seconds.unsigned_abs()))
    }

    /// How long a shutdown keeps serving; `None` where it does not.
    ///
    /// # Errors
    /// For a text that is no duration, which the command line refuses.
    pub fn block_shutdown(&self) -> Result<Option<Duration>, DurationError> {
        self.dapr_block_shutdown_duration
            .as_ref()
            .map(|written| written.get().map(|duration| duration.0))
            .transpose()
    }
}
