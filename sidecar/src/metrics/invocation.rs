//! Calls between sidecars.

use prometheus::{HistogramVec, IntCounterVec};
use tokio::time::Instant;

use super::{Families, elapsed_ms};
use crate::acl::{Action, Scope};

/// Whether a call's body was in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// It was.
    Unary,
    /// It was still arriving.
    Streaming,
}

impl CallKind {
    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Streaming => "streaming",
        }
    }
}

/// Counters of calls to and from other sidecars.
#[derive(Debug, Clone)]
pub struct InvocationMetrics {
    sent: IntCounterVec,
    received: IntCounterVec,
    answers_sent: IntCounterVec,
    answers_received: IntCounterVec,
    latency: HistogramVec,
    decisions: [IntCounterVec; 4],
}

impl InvocationMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(families: Families<'_>) -> prometheus::Result<Self> {
        let name = |suffix: &str| format!("runtime_service_invocation_{suffix}");
        let who = ["trustDomain", "namespace", "caller"];
        let decision = |suffix: &str, help: &str| {
            families.counter(&format!("runtime_acl_{suffix}"), help, &who)
        };
        Ok(Self {
            sent: families.counter(
                &name("req_sent_total"),
                "Calls sent to other sidecars.",
                &["dst_app_id", "type"],
            )?,
            received: families.counter(
                &name("req_recv_total"),
                "Calls from other sidecars.",
                &["src_app_id"],
            )?,
            answers_sent: families.counter(
                &name("res_sent_total"),
                "Answers sent to other sidecars.",
                &["dst_app_id", "status"],
            )?,
            answers_received: families.counter(
                &name("res_recv_total"),
                "Answers from other sidecars.",
                &["src_app_id", "status", "type"],
            )?,
            latency: families.latency(
                &name("res_recv_latency_ms"),
                "Time until the head of an answer, in milliseconds.",
                &["src_app_id", "status"],
            )?,
            decisions: [
                decision(
                    "app_policy_action_allowed_total",
                    "Calls allowed by the policy of their caller.",
                )?,
                decision(
                    "app_policy_action_blocked_total",
                    "Calls refused by the policy of their caller.",
                )?,
                decision(
                    "global_policy_action_allowed_total",
                    "Calls allowed by the global policy.",
                )?,
                decision(
                    "global_policy_action_blocked_total",
                    "Calls refused by the global policy.",
                )?,
            ],
        })
    }

    /// Counts a call to another sidecar and starts its clock.
    pub fn sent<'a>(&'a self, callee: &'a str, kind: CallKind) -> SentTimer<'a> {
        self.sent.with_label_values(&[callee, kind.label()]).inc();
        SentTimer {
            metrics: self,
            callee,
            kind,
            start: Instant::now(),
        }
    }

    /// Counts a call from another sidecar.
    pub fn received(&self, caller: &str) {
        self.received.with_label_values(&[caller]).inc();
    }

    /// Counts the answer to a call from another sidecar.
    pub fn answered(&self, caller: &str, status: i32) {
        self.answers_sent
            .with_label_values(&[caller, &status.to_string()])
            .inc();
    }

    /// Counts a decision of the access control.
    pub fn decided(
        &self,
        scope: Scope,
        action: Action,
        caller: Option<&trilby_identity::SpiffeId>,
    ) {
        let family = match (scope, action) {
            (Scope::App, Action::Allow) => &self.decisions[0],
            (Scope::App, Action::Deny) => &self.decisions[1],
            (Scope::Global, Action::Allow) => &self.decisions[2],
            (Scope::Global, Action::Deny) => &self.decisions[3],
        };
        let labels = caller.map_or(["", "", ""], |id| {
            [id.trust_domain(), id.namespace(), id.app_id()]
        });
        family.with_label_values(&labels).inc();
    }
}

/// The clock of one call.
#[derive(Debug)]
pub struct SentTimer<'a> {
    metrics: &'a InvocationMetrics,
    callee: &'a str,
    kind: CallKind,
    start: Instant,
}

impl SentTimer<'_> {
    /// Counts the answer.
    pub fn received(self, status: i32) {
        let status = status.to_string();
        self.metrics
            .answers_received
            .with_label_values(&[self.callee, &status, self.kind.label()])
            .inc();
        self.metrics
            .latency
            .with_label_values(&[self.callee, &status])
            .observe(elapsed_ms(self.start));
    }
}
