//! Upstream's metrics of the authority.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// One set a process.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) received: IntCounter,
    pub(crate) signed: IntCounter,
    refused: IntCounterVec,
    own_failed: IntCounterVec,
    pub(crate) issuer_changed: IntCounter,
    pub(crate) issuer_expiry: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_reason = |name: &str, help: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let issuer_expiry = IntGauge::new(
            "dapr_sentry_issuercert_expiry_timestamp",
            "When the issuer certificate expires, in seconds since 1970.",
        )?;
        registry.register(Box::new(issuer_expiry.clone()))?;
        Ok(Self {
            received: counter(
                "dapr_sentry_cert_sign_request_received_total",
                "Requests for a certificate.",
            )?,
            signed: counter(
                "dapr_sentry_cert_sign_success_total",
                "Certificates signed.",
            )?,
            refused: by_reason(
                "dapr_sentry_cert_sign_failure_total",
                "Requests for a certificate that were refused or failed.",
            )?,
            own_failed: by_reason(
                "dapr_sentry_servercert_issue_failed_total",
                "Failed attempts to sign sentry's own certificate.",
            )?,
            issuer_changed: counter(
                "dapr_sentry_issuercert_changed_total",
                "Times that an issuer was taken into use.",
            )?,
            issuer_expiry,
        })
    }

    /// Upstream's label has one value, whatever the reason.
    pub(crate) fn refused(&self) {
        self.refused.with_label_values(&["sign"]).inc();
    }

    pub(crate) fn own_failed(&self) {
        self.own_failed.with_label_values(&["sign"]).inc();
    }
}
