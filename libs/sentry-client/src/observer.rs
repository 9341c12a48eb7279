//! Tells the world how the identity fares: log, metrics, readiness.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio_util::sync::CancellationToken;
use trilby_identity::{RenewalError, RenewalObserver, Svid};

use crate::{Config, ConfigError};

/// Whether the process has an identity that its peers accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It has.
    Ready,
    /// It has none yet, or none any more; the text says why.
    NotReady(String),
}

/// What the process lends: a registry, the end of its life, and its readiness.
pub struct Hooks {
    /// Where metrics are registered.
    pub metrics: Registry,
    /// Cancelled when the process stops.
    pub cancel: CancellationToken,
    /// Called on every change; must return at once. Set a readiness latch from it.
    pub health: Arc<dyn Fn(Health) + Send + Sync>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

pub(crate) struct Observer {
    health: Arc<dyn Fn(Health) + Send + Sync>,
    metrics: Metrics,
    /// Whether a first SVID came, and has not expired.
    valid: std::sync::atomic::AtomicBool,
}

struct Metrics {
    first: IntCounter,
    first_failed: IntCounterVec,
    renewed: IntCounter,
    renewal_failed: IntCounterVec,
    expiry: IntGauge,
}

impl Observer {
    pub(crate) fn register(
        config: &Config,
        registry: &Registry,
        health: Arc<dyn Fn(Health) + Send + Sync>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            health,
            metrics: Metrics::register(&config.app_id, registry)?,
            valid: false.into(),
        })
    }

    fn set_valid(&self, valid: bool) -> bool {
        self.valid.swap(valid, std::sync::atomic::Ordering::Relaxed)
    }

    fn is_valid(&self) -> bool {
        self.valid.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl RenewalObserver for Observer {
    fn renewed(&self, svid: &Svid) {
        let was_valid = self.set_valid(true);
        let counter = if was_valid {
            &self.metrics.renewed
        } else {
            &self.metrics.first
        };
        counter.inc();
        let expiry = unix_seconds(svid.not_after());
        self.metrics.expiry.set(expiry);
        (self.health)(Health::Ready);
        let jwts = svid.jwts().len();
        tracing::info!(id = %svid.id(), expiry, jwts, "identity certificate obtained");
    }

    fn failed(&self, error: &RenewalError, retry_in: Duration) {
        let reason = class(error);
        let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
        if self.is_valid() {
            self.metrics
                .renewal_failed
                .with_label_values(&[reason])
                .inc();
            tracing::warn!(%error, reason, retry_ms, "identity certificate could not be renewed, the old one stays");
        } else {
            self.metrics.first_failed.with_label_values(&[reason]).inc();
            (self.health)(Health::NotReady(format!(
                "no valid identity certificate: {error}"
            )));
            tracing::warn!(%error, reason, retry_ms, "identity certificate could not be obtained");
        }
    }

    fn expired(&self, not_after: SystemTime) {
        self.set_valid(false);
        let expiry = unix_seconds(not_after);
        (self.health)(Health::NotReady(
            "identity certificate expired and could not be renewed".to_owned(),
        ));
        tracing::error!(expiry, "identity certificate expired, peers refuse it");
    }
}

impl Metrics {
    fn register(app_id: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("app_id", app_id);
        let by_reason = |opts| IntCounterVec::new(opts, &["reason"]);
        let metrics = Self {
            first: IntCounter::with_opts(opts(
                "dapr_runtime_mtls_init_total",
                "Identity certificates obtained while there was no valid one.",
            ))?,
            first_failed: by_reason(opts(
                "dapr_runtime_mtls_init_fail_total",
                "Failed attempts while there was no valid identity certificate.",
            ))?,
            renewed: IntCounter::with_opts(opts(
                "dapr_runtime_mtls_workload_cert_rotated_total",
                "Identity certificates renewed.",
            ))?,
            renewal_failed: by_reason(opts(
                "dapr_runtime_mtls_workload_cert_rotated_fail_total",
                "Failed attempts to renew a valid identity certificate.",
            ))?,
            expiry: IntGauge::with_opts(opts(
                "dapr_runtime_mtls_workload_cert_expiry_timestamp",
                "When the identity certificate expires, in seconds since 1970; 0 without one.",
            ))?,
        };
        registry.register(Box::new(metrics.first.clone()))?;
        registry.register(Box::new(metrics.first_failed.clone()))?;
        registry.register(Box::new(metrics.renewed.clone()))?;
        registry.register(Box::new(metrics.renewal_failed.clone()))?;
        registry.register(Box::new(metrics.expiry.clone()))?;
        Ok(metrics)
    }
}

/// The step that failed, as a bounded label.
fn class(error: &RenewalError) -> &'static str {
    match error {
        RenewalError::Csr(_) => "csr",
        RenewalError::Sign(error) => error.class,
        RenewalError::Timeout(_) => "timeout",
        RenewalError::Answer(_) => "invalid_certificate",
        RenewalError::Jwt(error) => error.class(),
        RenewalError::Anchors(_) => "invalid_anchors",
        RenewalError::Untrusted(_) => "untrusted_certificate",
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
