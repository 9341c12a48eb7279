//! From the body of a review to the body of its answer.
//!
//! Whatever is not as a pod's author may think is said three times: to the requester as warnings, in the API server's
//! audit log, and as an Event on what made the pod. A refused pod's author has the reason as the error, too.

use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Pod;
use prometheus::Registry;
use serde_json::value::RawValue;
use tracing::{info, warn};
use trilby_go_syntax::truthy;
use trilby_sidecar_args::annotation;

use crate::{
    injection::{self, Cluster, Declarations, Injection, Live},
    metrics::{Failure, Metrics},
    news::{Notice, Outcome},
    requester::Requesters,
    review::{Answer, Remarks, Request, Review, Verdict},
    settings::Settings,
    telling::Telling,
};

/// Decides about pods.
#[derive(Debug)]
pub(crate) struct Admission {
    requesters: Requesters,
    cluster: Cluster,
    metrics: Metrics,
    telling: Telling,
}

/// What is the case at the moment of a review.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    /// PEM of the trust anchors.
    pub(crate) trust_anchors: &'a str,
    /// Whether sidecars talk to each other over mutual TLS.
    pub(crate) mtls: bool,
    /// Containers that Components declare.
    pub(crate) components: &'a Declarations,
    /// Whether the cluster is known to have native sidecars.
    pub(crate) native_sidecars: bool,
}

/// A verdict, and what there is to say about it.
struct Decision {
    verdict: Verdict,
    /// Why it is not what the pod's author may think; a line each.
    remark: Option<(Outcome, Vec<String>)>,
}

/// Words for "no", so that only what is neither yes nor no is worth a warning.
const NO: [&str; 7] = ["", "n", "no", "false", "f", "off", "0"];

impl Admission {
    pub(crate) fn new(
        requesters: Requesters,
        cluster: Cluster,
        (metrics, telling): (Metrics, Telling),
    ) -> Self {
        Self {
            requesters,
            cluster,
            metrics,
            telling,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The answer to a review, as JSON.
    ///
    /// # Errors
    /// If the answer cannot be written.
    pub(crate) fn answer(&self, body: &[u8], now: Now<'_>) -> Result<Vec<u8>, serde_json::Error> {
        let review: Review = match serde_json::from_slice(body) {
            Ok(review) => review,
            Err(error) => {
                warn!(%error, "not an admission review");
                self.metrics.failed("", Failure::Patch);
                return serde_json::to_vec(&Answer::undecodable(error.to_string()));
            }
        };
        let decision = match &review.request {
            Some(request) => self.decide(request, now),
            None => self.deny("", "the review holds no request".to_owned()),
        };
        let (verdict, remarks) = decision.into_parts();
        serde_json::to_vec(&Answer::new(&review, verdict, remarks)?)
    }

    fn decide(&self, request: &Request, now: Now<'_>) -> Decision {
        if request.kind.kind != "Pod" {
            self.metrics.failed("", Failure::NotEligible);
            warn!(kind = request.kind.kind, "asked about what is not a pod");
            return Decision::allow();
        }
        match decode(request.object.as_deref()) {
            Ok(pod) => {
                let decision = self.decide_about(&pod, request, now);
                self.tell(&pod, request, &decision);
                decision
            }
            Err(error) => self.deny("", format!("could not unmarshal raw object: {error}")),
        }
    }

    fn decide_about(&self, pod: &Pod, request: &Request, now: Now<'_>) -> Decision {
        if !injection::asks(pod) {
            return unclear_wish(pod).map_or_else(Decision::allow, Decision::pass_over);
        }
        let user = &request.user_info;
        if !self.requesters.allow(&user.username, &user.groups) {
            return self.not_allowed(pod, request);
        }
        let live = Live {
            namespace: &request.namespace,
            trust_anchors: now.trust_anchors,
            mtls: now.mtls,
            components: now.components,
            native_sidecars: now.native_sidecars,
        };
        match injection::inject(pod, &self.cluster, live) {
            Ok(injection) => self.patch(pod, request, injection),
            Err(refusal) => self.deny(injection::app_id(pod), refusal.to_string()),
        }
    }

    /// The pod is created without a sidecar: refusing it would let the injector stand in the way of unrelated work.
    fn not_allowed(&self, pod: &Pod, request: &Request) -> Decision {
        let user = &request.user_info.username;
        let app_id = injection::app_id(pod);
        self.metrics.failed(app_id, Failure::NotEligible);
        warn!(
            app = app_id,
            user, "not on the list of accounts allowed to have sidecars injected"
        );
        Decision::pass_over(format!(
            "dapr: no sidecar was injected: {user} is not allowed to create such pods; create it through a controller \
             (a Deployment), or list the account in dapr_sidecar_injector.allowedServiceAccounts"
        ))
    }

    fn patch(&self, pod: &Pod, request: &Request, injection: Injection) -> Decision {
        let app_id = injection::app_id(pod);
        let namespace = &request.namespace;
        for warning in &injection.warnings {
            warn!(app = app_id, namespace, "{warning}");
        }
        if !injection.operations.is_empty() {
            info!(app = app_id, namespace, "injected a sidecar");
            self.metrics.succeeded(app_id);
        }
        let warnings = Some(injection.warnings).filter(|warnings| !warnings.is_empty());
        Decision {
            verdict: Verdict::Patch(injection.operations),
            remark: warnings.map(|warnings| (Outcome::Warned, warnings)),
        }
    }

    fn deny(&self, app_id: &str, reason: String) -> Decision {
        warn!(app = app_id, reason, "refused a pod");
        self.metrics.failed(app_id, Failure::Patch);
        Decision {
            remark: Some((Outcome::Refused, vec![format!("dapr: {reason}")])),
            verdict: Verdict::Deny(reason),
        }
    }

    /// A dry run leaves no trace.
    fn tell(&self, pod: &Pod, request: &Request, decision: &Decision) {
        if let Some((outcome, reasons)) = &decision.remark
            && !request.dry_run
            && let Some(notice) = Notice::new(pod, &request.namespace, *outcome, reasons)
        {
            self.telling.leave(notice);
        }
    }
}

impl Decision {
    fn allow() -> Self {
        Self {
            verdict: Verdict::Allow,
            remark: None,
        }
    }

    fn pass_over(reason: String) -> Self {
        Self {
            verdict: Verdict::Allow,
            remark: Some((Outcome::PassedOver, vec![reason])),
        }
    }

    fn into_parts(self) -> (Verdict, Remarks) {
        let remarks = self.remark.map(|(outcome, reasons)| Remarks {
            audit: Some((outcome.audit_key(), reasons.join("; "))),
            warnings: reasons,
        });
        (self.verdict, remarks.unwrap_or_default())
    }
}

/// The answer of an injector as it is installed by default, in a cluster without Components: a function of bytes.
///
/// # Errors
/// If the answer cannot be written.
pub fn answer_as_installed(body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    static INSTALLED: LazyLock<Admission> = LazyLock::new(|| {
        let variable = |name: &str| match name {
            "NAMESPACE" => Some("dapr-system".to_owned()),
            "SIDECAR_IMAGE" => Some("daprd".to_owned()),
            "KUBE_CLUSTER_DOMAIN" => Some("cluster.local".to_owned()),
            _ => None,
        };
        let settings = Settings::read(variable).expect("what is required is there");
        let metrics = Metrics::register(&Registry::new()).expect("the registry is new");
        let cluster = settings.cluster(false, true);
        let telling = Telling::off(&metrics);
        Admission::new(settings.requesters, cluster, (metrics, telling))
    });
    let components = Declarations::default();
    let now = Now {
        trust_anchors: "",
        mtls: true,
        components: &components,
        native_sidecars: true,
    };
    INSTALLED.answer(body, now)
}

fn decode(object: Option<&RawValue>) -> Result<Pod, serde_json::Error> {
    serde_json::from_str(object.map_or("null", RawValue::get))
}

/// A pod whose author may have wanted a sidecar, and did not say so in the one word that asks for it.
fn unclear_wish(pod: &Pod) -> Option<String> {
    let annotations = pod.metadata.annotations.as_ref()?;
    let wish = annotations.get(annotation::ENABLED)?;
    if NO.contains(&wish.trim().to_ascii_lowercase().as_str()) {
        return None;
    }
    let reason = match truthy(wish) {
        true => "does not ask for a sidecar, only \"true\" does",
        false => "is neither true nor false",
    };
    let key = annotation::ENABLED;
    Some(format!("{key}: {wish:?} {reason}; no sidecar was injected"))
}

#[cfg(test)]
mod tests;
