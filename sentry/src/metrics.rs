//! Metrics of the authority: upstream's, and what they leave open.

mod ends;
mod rotation;

use std::time::SystemTime;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::bundle::unix_seconds;
use ends::Ends;
pub(crate) use rotation::RotationMetrics;

/// Seconds: a signature takes some tens of microseconds, with tokens some milliseconds.
const LATENCIES: &[f64] = &[
    0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0,
];

/// One set a process.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) received: IntCounter,
    pub(crate) issuer_renewed: IntCounter,
    /// How long it takes to sign a certificate and its tokens, in seconds.
    pub(crate) signing: Histogram,
    signed: IntCounter,
    failed: IntCounterVec,
    refused: IntCounterVec,
    own_failed: IntCounterVec,
    issuer_changed: IntCounter,
    issuer_expiry: IntGauge,
    authority_usable: IntGauge,
    configuration_usable: IntGauge,
    pub(crate) rotation: RotationMetrics,
    ends: Ends,
}

/// Why no certificate was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The validator asked for is not there.
    Validator,
    /// The request is incomplete, or asks for too much.
    Request,
    /// The token proves nothing.
    Token,
    /// The pod, or the token's subject, is another's.
    Identity,
    /// The API server did not help.
    Api,
    /// The certificate signing request is none.
    Csr,
    /// Too many requests for one identity.
    Rate,
    /// Too many requests at once.
    Busy,
    /// The issuer could not sign.
    Sign,
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Request => "request",
            Self::Token => "token",
            Self::Identity => "identity",
            Self::Api => "api",
            Self::Csr => "csr",
            Self::Rate => "rate",
            Self::Busy => "busy",
            Self::Sign => "sign",
        }
    }
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Families(registry);
        let signing = HistogramOpts::new(
            "dapr_sentry_sign_duration_seconds",
            "How long it took to sign a certificate and its tokens.",
        );
        let signing = Histogram::with_opts(signing.buckets(LATENCIES.to_vec()))?;
        registry.register(Box::new(signing.clone()))?;
        let ends = Ends::new()?;
        registry.register(Box::new(ends.clone()))?;
        Ok(Self {
            received: families.counter(
                "dapr_sentry_cert_sign_request_received_total",
                "Requests for a certificate.",
            )?,
            signed: families.counter(
                "dapr_sentry_cert_sign_success_total",
                "Certificates signed.",
            )?,
            failed: families.by_reason(
                "dapr_sentry_cert_sign_failure_total",
                "Requests for a certificate that were refused or failed; the reason is always the same.",
            )?,
            refused: families.by_reason(
                "dapr_sentry_cert_refused_total",
                "Requests for a certificate that were refused or failed, by reason.",
            )?,
            own_failed: families.by_reason(
                "dapr_sentry_servercert_issue_failed_total",
                "Failed attempts to sign sentry's own certificate.",
            )?,
            issuer_changed: families.counter(
                "dapr_sentry_issuercert_changed_total",
                "Times that an issuer was taken into use.",
            )?,
            issuer_renewed: families.counter(
                "dapr_sentry_issuercert_renewed_total",
                "Times that this replica renewed the issuer.",
            )?,
            issuer_expiry: families.gauge(
                "dapr_sentry_issuercert_expiry_timestamp",
                "When the issuer certificate expires, in seconds since 1970.",
            )?,
            authority_usable: families.gauge(
                "dapr_sentry_stored_authority_usable",
                "1 if the stored certificate authority is in use, 0 if it could not be read or used.",
            )?,
            configuration_usable: families.gauge(
                "dapr_sentry_configuration_usable",
                "1 if the Configuration is in use, 0 if it could not be read or used.",
            )?,
            rotation: RotationMetrics::register(&families)?,
            signing,
            ends,
        })
    }

    /// A certificate was given, which ends then.
    pub(crate) fn signed(&self, not_after: SystemTime) {
        self.signed.inc();
        self.ends.leaf(unix_seconds(not_after));
    }

    /// Upstream's label has one value, whatever the reason; ours is another family.
    pub(crate) fn refused(&self, reason: Reason) {
        self.failed.with_label_values(&["sign"]).inc();
        self.refused.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn own_failed(&self) {
        self.own_failed.with_label_values(&["sign"]).inc();
    }

    /// Another issuer is in use; it and its root end then, in seconds since 1970.
    pub(crate) fn issuer_in_use(&self, end: u64, root_end: u64) {
        self.issuer_changed.inc();
        self.issuer_expiry
            .set(i64::try_from(end).unwrap_or(i64::MAX));
        self.ends.authority(end, root_end);
    }

    pub(crate) fn stored_authority_usable(&self, usable: bool) {
        self.authority_usable.set(usable.into());
    }

    pub(crate) fn configuration_usable(&self, usable: bool) {
        self.configuration_usable.set(usable.into());
    }

    pub(crate) fn is_configuration_usable(&self) -> bool {
        self.configuration_usable.get() == 1
    }
}

/// Registers what it makes.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn by_reason(&self, name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
        let family = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }
}
