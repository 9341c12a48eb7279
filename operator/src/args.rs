//! The operator's flags and environment.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use tracing::warn;
use trilby_bootstrap::{
    ServiceConfig,
    args::{HealthArgs, LogArgs, MetricsArgs, go_bool},
    refuse_root,
};
use trilby_go_syntax::GoDuration;

use crate::{
    app::{Config, Listen},
    drift::Upgrade,
    leader::Election,
    services::Reconcile,
    validation::Strictness,
    watchdog::{Interval, WatchdogSettings},
};

/// Command-line flags, with upstream's names and defaults.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "operator",
    about = "Trilby's operator: serves Dapr's resources to sidecars"
)]
pub struct Args {
    /// Name of the Configuration with the control plane's settings, in the control plane's namespace
    #[arg(long, default_value = trilby_crds::SYSTEM_CONFIGURATION)]
    config: String,
    /// Interval of the watchdog: off, `once`, or a duration of at least 1s
    #[arg(long, default_value = "0", value_parser = watch_interval)]
    watch_interval: WatchInterval,
    /// Pods the watchdog deletes per minute; 0 or less: any number
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    max_pod_restarts_per_minute: i32,
    /// Do the leader's work without being elected
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    disable_leader_election: bool,
    /// Do not manage the `<app-id>-dapr` Services
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    disable_service_reconciler: bool,
    /// Only watch this namespace; empty: all
    #[arg(long, default_value = "")]
    watch_namespace: String,
    /// Manage Services of Argo Rollouts as well
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    enable_argo_rollout_service_reconciler: bool,
    /// Let the watchdog label pods that have a sidecar
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    watchdog_can_patch_pod_labels: bool,
    /// PEM file with the trust anchors
    #[arg(long, default_value = "/var/run/secrets/dapr.io/tls/ca.crt")]
    trust_anchors_file: PathBuf,
    /// Port of the gRPC API
    #[arg(long, default_value_t = 6500)]
    port: u16,
    /// Address the gRPC API listens on; empty: all
    #[arg(long, default_value = "")]
    listen_address: String,
    /// Port of the webhooks
    #[arg(long, default_value_t = 19443)]
    webhook_server_port: u16,
    /// Address the webhooks listen on; empty: all
    #[arg(long, default_value = "")]
    webhook_server_listen_address: String,
    /// What becomes of mistakes in resources that are applied: `off`, `warn`, or `strict`, which refuses them
    #[arg(long, default_value = "off", value_parser = validation)]
    validation: Validation,
    /// What becomes of definitions that lack something: `leave`, `plan`, which tells what would be done, or `upgrade`
    #[arg(long, default_value = "leave", value_parser = definitions)]
    definitions: Definitions,
    /// How often caches are compared with the API server; 0: whenever a watch ends
    #[arg(long, default_value = "0")]
    cache_sync_period: GoDuration,
    /// Path of a kubeconfig; empty: `KUBECONFIG`, the cluster it runs in, `~/.kube/config`
    #[arg(long, default_value = "")]
    kubeconfig: String,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    health: HealthArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

impl Args {
    /// What the process around the service is like.
    #[must_use]
    pub fn service(&self) -> ServiceConfig {
        ServiceConfig {
            log: self.log.clone(),
            health: Some(self.health.clone()),
            metrics: Some(self.metrics.clone()),
            ..ServiceConfig::new("operator", self)
        }
    }

    /// The service's settings from these flags and this process's environment. Warns of flags without effect.
    ///
    /// # Errors
    /// `NAMESPACE` is missing, or the process runs as root.
    pub fn config(&self) -> anyhow::Result<Config> {
        refuse_root(env)?;
        for (flag, why) in self.without_effect() {
            warn!(flag, "{why}");
        }
        let namespace = env("NAMESPACE")
            .context("environment variable NAMESPACE is required: the control plane's namespace")?;
        let watch_namespace = self.watch_namespace.trim();
        Ok(Config {
            namespace,
            system_configuration: self.config.clone(),
            watch_namespace: (!watch_namespace.is_empty()).then(|| watch_namespace.to_owned()),
            election: match self.disable_leader_election {
                true => Election::Disabled,
                false => Election::Lease,
            },
            services: match (
                self.disable_service_reconciler,
                self.enable_argo_rollout_service_reconciler,
            ) {
                (true, _) => Reconcile::Off,
                (false, true) => Reconcile::WorkloadsAndRollouts,
                (false, false) => Reconcile::Workloads,
            },
            trust_anchors_file: self.trust_anchors_file.clone(),
            port: self.port,
            listen_address: self.listen_address.clone(),
            kubeconfig: (!self.kubeconfig.is_empty()).then(|| PathBuf::from(&self.kubeconfig)),
            webhooks: webhooks_enabled(env("ENABLE_WEBHOOKS").as_deref()).then(|| Listen {
                address: self.webhook_server_listen_address.clone(),
                port: self.webhook_server_port,
            }),
            validation: self.validation.0,
            definitions: self.definitions.0,
            watchdog: self.watchdog(),
            app_id: env("SENTRY_LOCAL_IDENTITY").unwrap_or_else(|| "dapr-operator".to_owned()),
        })
    }

    fn watchdog(&self) -> Option<WatchdogSettings> {
        let WatchInterval::On(interval) = self.watch_interval else {
            return None;
        };
        let per_minute = u32::try_from(self.max_pod_restarts_per_minute).ok();
        Some(WatchdogSettings {
            interval,
            per_minute: per_minute.and_then(NonZeroU32::new),
            labels: self.watchdog_can_patch_pod_labels,
        })
    }

    /// Flags that were given and change nothing, each with the reason.
    fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        [
            (
                self.watchdog_can_patch_pod_labels
                    && matches!(self.watch_interval, WatchInterval::Off),
                "--watchdog-can-patch-pod-labels",
                "flag without effect: the watchdog is off",
            ),
            (
                self.enable_argo_rollout_service_reconciler && self.disable_service_reconciler,
                "--enable-argo-rollout-service-reconciler",
                "flag without effect: no Services are managed",
            ),
            (
                self.validation.0.is_some() && !webhooks_enabled(env("ENABLE_WEBHOOKS").as_deref()),
                "--validation",
                "flag without effect: ENABLE_WEBHOOKS is false",
            ),
            (
                !self.cache_sync_period.0.is_zero(),
                "--cache-sync-period",
                "flag without effect: caches follow the API server and need no periodic comparison",
            ),
        ]
        .into_iter()
        .filter_map(|(given, flag, why)| given.then_some((flag, why)))
        .collect()
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Only the word itself, in any case, switches them off, as upstream has it.
fn webhooks_enabled(variable: Option<&str>) -> bool {
    variable.is_none_or(|text| !text.eq_ignore_ascii_case("false"))
}

/// What becomes of findings; `None`: nothing is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validation(Option<Strictness>);

fn validation(text: &str) -> Result<Validation, String> {
    match text.to_lowercase().as_str() {
        "off" => Ok(Validation(None)),
        "warn" => Ok(Validation(Some(Strictness::Warn))),
        "strict" => Ok(Validation(Some(Strictness::Strict))),
        _ => Err("expected off, warn or strict".to_owned()),
    }
}

/// What becomes of definitions; `None`: they are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Definitions(Option<Upgrade>);

fn definitions(text: &str) -> Result<Definitions, String> {
    match text.to_lowercase().as_str() {
        "leave" => Ok(Definitions(None)),
        "plan" => Ok(Definitions(Some(Upgrade::Plan))),
        "upgrade" => Ok(Definitions(Some(Upgrade::Apply))),
        _ => Err("expected leave, plan or upgrade".to_owned()),
    }
}

/// When the watchdog looks, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WatchInterval {
    Off,
    On(Interval),
}

fn watch_interval(text: &str) -> Result<WatchInterval, String> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if ["0", "false", "f", "no", "off"].into_iter().any(is) {
        return Ok(WatchInterval::Off);
    }
    if is("once") {
        return Ok(WatchInterval::On(Interval::Once));
    }
    match text.parse::<GoDuration>() {
        Ok(interval) if interval.0 >= Duration::from_secs(1) => {
            Ok(WatchInterval::On(Interval::Every(interval.0)))
        }
        Ok(_) => Err("must be at least 1s".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trilby_bootstrap::args::parse_from;

    fn args(flags: &[&str]) -> Result<Args, clap::Error> {
        parse_from(["operator"].iter().chain(flags))
    }

    fn without_effect(flags: &[&str]) -> Vec<&'static str> {
        let args = args(flags).expect("parses");
        args.without_effect()
            .into_iter()
            .map(|(flag, _)| flag)
            .collect()
    }

    #[test]
    fn the_charts_flags_are_accepted_without_a_warning() {
        assert!(
            without_effect(&[
                "--watch-interval",
                "0",
                "--max-pod-restarts-per-minute",
                "20",
                "--log-level",
                "info",
                "--trust-anchors-file",
                "/var/run/secrets/dapr.io/tls/ca.crt",
                "--enable-metrics",
                "--metrics-port",
                "9090",
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_flag_that_changes_nothing_is_named() {
        assert_eq!(
            without_effect(&[
                "-watchdog-can-patch-pod-labels",
                "-enable-argo-rollout-service-reconciler",
                "-disable-service-reconciler",
                "-cache-sync-period=10h",
            ]),
            [
                "--watchdog-can-patch-pod-labels",
                "--enable-argo-rollout-service-reconciler",
                "--cache-sync-period",
            ]
        );
    }

    #[test]
    fn only_false_switches_webhooks_off() {
        for (text, enabled) in [
            (None, true),
            (Some("true"), true),
            (Some("0"), true),
            (Some("False"), false),
        ] {
            assert_eq!(webhooks_enabled(text), enabled, "{text:?}");
        }
    }

    #[test]
    fn the_watchdog_is_off_unless_it_is_given_an_interval() {
        assert_eq!(args(&[]).unwrap().watchdog(), None);
        assert_eq!(args(&["--watch-interval", "OFF"]).unwrap().watchdog(), None);
        let once = args(&["-watch-interval=once", "-max-pod-restarts-per-minute=0"]).unwrap();
        let settings = WatchdogSettings {
            interval: Interval::Once,
            per_minute: None,
            labels: false,
        };
        assert_eq!(once.watchdog(), Some(settings));
        let often = args(&["-watch-interval=90s", "-watchdog-can-patch-pod-labels"]).unwrap();
        let settings = WatchdogSettings {
            interval: Interval::Every(Duration::from_secs(90)),
            per_minute: NonZeroU32::new(20),
            labels: true,
        };
        assert_eq!(often.watchdog(), Some(settings));
    }

    #[test]
    fn validation_is_off_unless_it_is_asked_for() {
        assert_eq!(args(&[]).unwrap().validation.0, None);
        assert_eq!(
            args(&["--validation=warn"]).unwrap().validation.0,
            Some(Strictness::Warn)
        );
        assert_eq!(
            args(&["-validation", "STRICT"]).unwrap().validation.0,
            Some(Strictness::Strict)
        );
        let error = args(&["--validation", "yes"]).expect_err("refused");
        assert!(
            error.to_string().contains("expected off, warn or strict"),
            "{error}"
        );
    }

    #[test]
    fn definitions_are_left_unless_it_is_asked_for() {
        let definitions = |flags: &[&str]| args(flags).unwrap().definitions.0;
        assert_eq!(definitions(&[]), None);
        assert_eq!(definitions(&["--definitions=plan"]), Some(Upgrade::Plan));
        assert_eq!(
            definitions(&["-definitions", "Upgrade"]),
            Some(Upgrade::Apply)
        );
        let error = args(&["--definitions", "yes"]).expect_err("refused");
        let expected = "expected leave, plan or upgrade";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_watch_interval_below_a_second_is_refused() {
        let error = args(&["--watch-interval", "10ms"]).expect_err("refused");
        assert!(error.to_string().contains("must be at least 1s"), "{error}");
    }
}
