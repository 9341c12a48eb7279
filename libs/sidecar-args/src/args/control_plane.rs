//! Flags about the control plane.

use std::time::Duration;

use clap::ArgAction;
use trilby_go_syntax::{DurationError, GoDuration, parse_bool};

use crate::{CommaList, Written, env};

/// Upstream's bound of a dissemination round.
const DEFAULT_DISSEMINATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The one actors service that has an effect, as `--actors-service` names it.
const PLACEMENT_SERVICE: &str = "placement:";

/// The control plane and the identity it gives.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ControlPlaneArgs {
    /// The operator's `host:port`.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub control_plane_address: String,
    /// Sentry's `host:port`.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub sentry_address: String,
    /// Trust domain of the control plane's identities.
    #[arg(long, default_value = "localhost", allow_hyphen_values = true, env = env::CONTROL_PLANE_TRUST_DOMAIN)]
    pub control_plane_trust_domain: String,
    /// Namespace of the control plane.
    #[arg(long, default_value = "default", allow_hyphen_values = true, env = env::CONTROL_PLANE_NAMESPACE)]
    pub control_plane_namespace: String,
    /// Audiences of the JWT asked from sentry; none is the trust domain.
    #[arg(long, allow_hyphen_values = true)]
    pub sentry_request_jwt_audiences: Vec<CommaList>,
    /// mTLS between sidecars.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = parse_bool)]
    pub enable_mtls: bool,
    /// Placement's `host:port` list; blank turns actors off.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub placement_host_address: CommaList,
    /// Deprecated: `name:addresses` of the actors service; only `placement` has an effect.
    #[arg(long, default_value = "", allow_hyphen_values = true, hide = true)]
    pub actors_service: String,
    /// Deprecated, without effect.
    #[arg(long, default_value = "", allow_hyphen_values = true, hide = true)]
    pub reminders_service: String,
    /// The scheduler's `host:port` lists.
    #[arg(long, allow_hyphen_values = true, env = env::SCHEDULER_HOST_ADDRESS)]
    pub scheduler_host_address: Vec<CommaList>,
    /// Parallel streams of jobs; at least 1.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub scheduler_job_streams: u32,
    /// How long a dissemination round may take; above 0, 30 s unless set.
    #[arg(long, allow_hyphen_values = true)]
    pub actors_disseminate_timeout: Option<Written<GoDuration>>,
}

// === impl ControlPlaneArgs ===

impl Default for ControlPlaneArgs {
    fn default() -> Self {
        Self {
            control_plane_address: String::new(),
            sentry_address: String::new(),
            control_plane_trust_domain: "localhost".into(),
            control_plane_namespace: "default".into(),
            sentry_request_jwt_audiences: Vec::new(),
            enable_mtls: false,
            placement_host_address: CommaList::default(),
            actors_service: String::new(),
            reminders_service: String::new(),
            scheduler_host_address: Vec::new(),
            scheduler_job_streams: 3,
            actors_disseminate_timeout: None,
        }
    }
}

impl ControlPlaneArgs {
    /// Placement's addresses: `--placement-host-address`, else those of `--actors-service placement:...`.
    #[must_use]
    pub fn placement_addresses(&self) -> CommaList {
        if !self.placement_host_address.is_blank() {
            return self.placement_host_address.clone();
        }
        let service = self.actors_service.strip_prefix(PLACEMENT_SERVICE);
        service.unwrap_or_default().into()
    }

    /// How long a dissemination round may take.
    ///
    /// # Errors
    /// For a text that is no duration, which the command line refuses.
    pub fn disseminate_timeout(&self) -> Result<Duration, DurationError> {
        match &self.actors_disseminate_timeout {
            Some(written) => Ok(written.get()?.0),
            None => Ok(DEFAULT_DISSEMINATE_TIMEOUT),
        }
    }

    /// Names of flags that were given and have no effect, upstream neither.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let actors = !self.actors_service.is_empty()
            && (!self.placement_host_address.is_blank()
                || !self.actors_service.starts_with(PLACEMENT_SERVICE));
        let reminders = !self.reminders_service.is_empty();
        [("actors-service", actors), ("reminders-service", reminders)]
            .into_iter()
            .filter_map(|(name, idle)| idle.then_some(name))
            .collect()
    }
}
