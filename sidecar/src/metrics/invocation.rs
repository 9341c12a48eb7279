//! Calls between sidecars, and the decisions of the access control.

use std::sync::Arc;

use tokio::time::Instant;
use trilby_identity::SpiffeId;

use super::definition::{Definition, Label, few, many};
use super::families::Making;
use super::family::{Family, Series};
use super::group::Group;
use super::value::{Counter, Histogram};
use super::{Metrics, elapsed_ms};
use crate::acl::{Action, Scope};

/// Label sets that are kept resolved.
const KEPT: usize = 500;
const POLICY: &[Label] = &[many("app_id"), many("namespace"), many("trustDomain")];

pub(super) static SENT: Definition = Definition::counter(
    "runtime_service_invocation_req_sent_total",
    "Calls sent to other sidecars.",
    &[many("dst_app_id"), few("type")],
);
pub(super) static RECEIVED: Definition = Definition::counter(
    "runtime_service_invocation_req_recv_total",
    "Calls from other sidecars.",
    &[many("src_app_id")],
);
pub(super) static ANSWERS_SENT: Definition = Definition::counter(
    "runtime_service_invocation_res_sent_total",
    "Answers sent to other sidecars.",
    &[many("dst_app_id"), few("status")],
);
pub(super) static ANSWERS_RECEIVED: Definition = Definition::counter(
    "runtime_service_invocation_res_recv_total",
    "Answers from other sidecars.",
    &[many("src_app_id"), few("status"), few("type")],
);
pub(super) static LATENCY: Definition = Definition::latency(
    "runtime_service_invocation_res_recv_latency_ms",
    "Time until the head of another sidecar's answer, in milliseconds.",
    &[many("src_app_id"), few("status")],
);
pub(super) static APP_ALLOWED: Definition = Definition::counter(
    "runtime_acl_app_policy_action_allowed_total",
    "Calls allowed by the policy of their caller; app_id is the caller's.",
    POLICY,
);
pub(super) static APP_BLOCKED: Definition = Definition::counter(
    "runtime_acl_app_policy_action_blocked_total",
    "Calls refused by the policy of their caller; app_id is the caller's.",
    POLICY,
);
pub(super) static GLOBAL_ALLOWED: Definition = Definition::counter(
    "runtime_acl_global_policy_action_allowed_total",
    "Calls allowed by the global policy; app_id is the caller's.",
    POLICY,
);
pub(super) static GLOBAL_BLOCKED: Definition = Definition::counter(
    "runtime_acl_global_policy_action_blocked_total",
    "Calls refused by the global policy; app_id is the caller's.",
    POLICY,
);

/// How a call goes to another sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// One request, one answer.
    Unary,
    /// A gRPC call whose caller says that it is a stream.
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

/// The families, and what calls resolve to.
#[derive(Debug)]
pub(super) struct Invocation {
    sent: Arc<Family<Counter>>,
    received: Arc<Family<Counter>>,
    answers_sent: Arc<Family<Counter>>,
    answers: Group<Answered>,
    answers_received: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
    app_allowed: Arc<Family<Counter>>,
    app_blocked: Arc<Family<Counter>>,
    global_allowed: Arc<Family<Counter>>,
    global_blocked: Arc<Family<Counter>>,
}

#[derive(Debug)]
struct Answered {
    count: Arc<Series<Counter>>,
    /// Streams have none.
    latency: Option<Arc<Series<Histogram>>>,
}

impl Invocation {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            sent: making.family(&SENT),
            received: making.family(&RECEIVED),
            answers_sent: making.family(&ANSWERS_SENT),
            answers: Group::new(KEPT),
            answers_received: making.family(&ANSWERS_RECEIVED),
            latency: making.family(&LATENCY),
            app_allowed: making.family(&APP_ALLOWED),
            app_blocked: making.family(&APP_BLOCKED),
            global_allowed: making.family(&GLOBAL_ALLOWED),
            global_blocked: making.family(&GLOBAL_BLOCKED),
        }
    }

    fn answered(&self, callee: &str, status: i32, (kind, start): (CallKind, Instant)) {
        with_number(status, |status| {
            let labels = [callee, status, kind.label()];
            let answered = self.answers.get(&labels, || Answered {
                count: self.answers_received.resolve(&labels),
                latency: (kind == CallKind::Unary).then(|| self.latency.resolve(&labels[..2])),
            });
            answered.count.inc();
            if let Some(latency) = &answered.latency {
                latency.observe(elapsed_ms(start));
            }
        });
    }
}

/// Counters of calls to and from other sidecars.
#[derive(Debug, Clone)]
pub struct InvocationMetrics(pub(super) Metrics);

impl InvocationMetrics {
    /// Counts a call to another sidecar and starts its clock.
    pub fn sent<'a>(&'a self, callee: &'a str, kind: CallKind) -> SentTimer<'a> {
        self.0.with(|families| {
            families
                .invocation
                .sent
                .record(&[callee, kind.label()], Counter::inc);
        });
        SentTimer {
            metrics: self,
            callee,
            kind,
            start: Instant::now(),
        }
    }

    /// Counts a call from another sidecar.
    pub fn received(&self, caller: &str) {
        self.0.with(|families| {
            families.invocation.received.record(&[caller], Counter::inc);
        });
    }

    /// Counts the answer to a call from another sidecar.
    pub fn answered(&self, caller: &str, status: i32) {
        self.0.with(|families| {
            with_number(status, |status| {
                families
                    .invocation
                    .answers_sent
                    .record(&[caller, status], Counter::inc);
            });
        });
    }

    /// Counts a decision of the access control.
    pub fn decided(&self, scope: Scope, action: Action, caller: Option<&SpiffeId>) {
        self.0.with(|families| {
            let families = &families.invocation;
            let family = match (scope, action) {
                (Scope::App, Action::Allow) => &families.app_allowed,
                (Scope::App, Action::Deny) => &families.app_blocked,
                (Scope::Global, Action::Allow) => &families.global_allowed,
                (Scope::Global, Action::Deny) => &families.global_blocked,
            };
            let labels = caller.map_or([""; 3], |id| {
                [id.app_id(), id.namespace(), id.trust_domain()]
            });
            family.record(&labels, Counter::inc);
        });
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
        self.metrics.0.with(|families| {
            let how = (self.kind, self.start);
            families.invocation.answered(self.callee, status, how);
        });
    }
}

/// Hands a number to `then` as text, without allocating.
fn with_number(number: i32, then: impl FnOnce(&str)) {
    use std::io::Write as _;
    // The longest is "-2147483648".
    let mut digits = [0; 11];
    let mut rest = digits.as_mut_slice();
    write!(rest, "{number}").expect("every number fits");
    let free = rest.len();
    let written = digits.len() - free;
    then(std::str::from_utf8(&digits[..written]).expect("digits are ASCII"));
}

#[cfg(test)]
mod tests {
    use super::with_number;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 200, -1, i32::MIN, i32::MAX] {
            with_number(number, |text| assert_eq!(text, number.to_string()));
        }
    }
}
