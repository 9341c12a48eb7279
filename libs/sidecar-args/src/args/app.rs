//! Flags about the app.

use std::time::Duration;

use clap::ArgAction;
use trilby_go_syntax::{DurationError, GoDuration, parse_bool, parse_duration};

use crate::{AppProtocol, AppProtocolError, Written, port};

/// Seconds; upstream's.
const DEFAULT_HEALTH_INTERVAL: i64 = 5;
/// Milliseconds; upstream's.
const DEFAULT_HEALTH_TIMEOUT: i64 = 500;
/// Failures in a row; upstream's.
const DEFAULT_HEALTH_THRESHOLD: i64 = 3;
/// Upstream's bound of asking the app for its input bindings.
const DEFAULT_BINDING_OPTIONS_TIMEOUT: Duration = Duration::from_secs(3);

/// The app behind the sidecar.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct AppArgs {
    /// The app id. Required; outside Kubernetes it must not contain a dot.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub app_id: String,
    /// The port the app listens on; 0 is no app. Differs from the API's ports.
    #[arg(long, default_value = "", value_parser = port::parse)]
    pub app_port: u16,
    /// What the app speaks.
    #[arg(long, default_value = "http", allow_hyphen_values = true)]
    pub app_protocol: Written<AppProtocol>,
    /// Deprecated: turns `http` into `https` and `grpc` into `grpcs`.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub app_ssl: bool,
    /// Host of the app.
    #[arg(long, default_value = "127.0.0.1", allow_hyphen_values = true)]
    pub app_channel_address: String,
    /// Calls into the app at one time; unset, 0 and below are no limit.
    #[arg(long, allow_negative_numbers = true)]
    pub app_max_concurrency: Option<i64>,
    /// Bound of asking the app for its input bindings; 3 s unless set or not above 0.
    #[arg(long, allow_hyphen_values = true)]
    pub app_binding_options_timeout: Option<Written<GoDuration>>,
    /// Health checks of the app.
    #[command(flatten)]
    pub health: AppHealthArgs,
}

/// How the app is asked for its health.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct AppHealthArgs {
    /// Whether the app is asked at all.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub enable_app_health_check: bool,
    /// Path asked over HTTP; a leading `/` is added where missing.
    #[arg(long, default_value = "/healthz", allow_hyphen_values = true)]
    pub app_health_check_path: String,
    /// Seconds between two checks; not above 0 is the default.
    #[arg(long, default_value_t = DEFAULT_HEALTH_INTERVAL, allow_negative_numbers = true)]
    pub app_health_probe_interval: i64,
    /// Milliseconds a check may take; not above 0 is the default; at most the interval.
    #[arg(long, default_value_t = DEFAULT_HEALTH_TIMEOUT, allow_negative_numbers = true)]
    pub app_health_probe_timeout: i64,
    /// Failures in a row that make the app unhealthy; below 1 is the default.
    #[arg(long, default_value_t = DEFAULT_HEALTH_THRESHOLD, allow_negative_numbers = true)]
    pub app_health_threshold: i64,
}

// === impl AppArgs ===

impl Default for AppArgs {
    fn default() -> Self {
        Self {
            app_id: String::new(),
            app_port: 0,
            app_protocol: Written::unchecked("http"),
            app_ssl: false,
            app_channel_address: "127.0.0.1".into(),
            app_max_concurrency: None,
            app_binding_options_timeout: None,
            health: AppHealthArgs::default(),
        }
    }
}

impl AppArgs {
    /// The app's protocol, with `--app-ssl` taken into account.
    ///
    /// # Errors
    /// For a word that is no protocol, which the command line refuses.
    pub fn protocol(&self) -> Result<AppProtocol, AppProtocolError> {
        let protocol = self.app_protocol.get()?;
        Ok(if self.app_ssl {
            protocol.with_tls()
        } else {
            protocol
        })
    }

    /// Calls into the app at one time; `None` is no limit.
    #[must_use]
    pub fn max_concurrency(&self) -> Option<usize> {
        let limit = usize::try_from(self.app_max_concurrency?).ok()?;
        (limit > 0).then_some(limit)
    }

    /// Bound of asking the app for its input bindings.
    ///
    /// # Errors
    /// For a text that is no duration, which the command line refuses.
    pub fn binding_options_timeout(&self) -> Result<Duration, DurationError> {
        let given = match &self.app_binding_options_timeout {
            Some(written) => match parse_duration(written.as_str()) {
                Ok(duration) => duration,
                Err(DurationError::Negative(_)) => Duration::ZERO,
                Err(error) => return Err(error),
            },
            None => Duration::ZERO,
        };
        Ok(if given.is_zero() {
            DEFAULT_BINDING_OPTIONS_TIMEOUT
        } else {
            given
        })
    }
}

// === impl AppHealthArgs ===

impl Default for AppHealthArgs {
    fn default() -> Self {
        Self {
            enable_app_health_check: false,
            app_health_check_path: "/healthz".into(),
            app_health_probe_interval: DEFAULT_HEALTH_INTERVAL,
            app_health_probe_timeout: DEFAULT_HEALTH_TIMEOUT,
            app_health_threshold: DEFAULT_HEALTH_THRESHOLD,
        }
    }
}

impl AppHealthArgs {
    /// Time between two checks.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(positive(
            self.app_health_probe_interval,
            DEFAULT_HEALTH_INTERVAL,
        ))
    }

    /// Bound of one check.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(positive(
            self.app_health_probe_timeout,
            DEFAULT_HEALTH_TIMEOUT,
        ))
    }

    /// Failures in a row that make the app unhealthy.
    #[must_use]
    pub fn threshold(&self) -> u64 {
        positive(self.app_health_threshold, DEFAULT_HEALTH_THRESHOLD)
    }
}

fn positive(value: i64, default: i64) -> u64 {
    let value = if value > 0 { value } else { default };
    value.unsigned_abs()
}
