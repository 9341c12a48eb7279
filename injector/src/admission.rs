//! From the body of a review to the body of its answer.

use k8s_openapi::api::core::v1::Pod;
use serde_json::value::RawValue;
use tracing::{info, warn};
use trilby_sidecar_args::annotation;

use crate::{
    injection::{self, Cluster, Injection, Live},
    metrics::{Failure, Metrics},
    requester::Requesters,
    review::{Answer, Request, Review, Verdict},
};

/// Decides about pods.
#[derive(Debug)]
pub(crate) struct Admission {
    requesters: Requesters,
    cluster: Cluster,
    metrics: Metrics,
}

/// What is the case at the moment of a review.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    /// PEM of the trust anchors.
    pub(crate) trust_anchors: String,
    /// Whether sidecars talk to each other over mutual TLS.
    pub(crate) mtls: bool,
}

/// A verdict, and what the requester is told beside it.
struct Decision {
    verdict: Verdict,
    warnings: Vec<String>,
}

/// Words for "no", so that only what is neither yes nor no is worth a warning.
const NO: [&str; 7] = ["", "n", "no", "false", "f", "off", "0"];

impl Admission {
    pub(crate) fn new(requesters: Requesters, cluster: Cluster, metrics: Metrics) -> Self {
        Self {
            requesters,
            cluster,
            metrics,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The answer to a review, as JSON.
    ///
    /// # Errors
    /// If the answer cannot be written.
    pub(crate) fn answer(&self, body: &[u8], now: &Now) -> Result<Vec<u8>, serde_json::Error> {
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
        let answer = Answer::new(&review, decision.verdict, decision.warnings)?;
        serde_json::to_vec(&answer)
    }

    fn decide(&self, request: &Request, now: &Now) -> Decision {
        if request.kind.kind != "Pod" {
            self.metrics.failed("", Failure::NotEligible);
            warn!(kind = request.kind.kind, "asked about what is not a pod");
            return Decision::allow(Vec::new());
        }
        match decode(request.object.as_deref()) {
            Ok(pod) => self.decide_about(&pod, request, now),
            Err(error) => self.deny("", format!("could not unmarshal raw object: {error}")),
        }
    }

    fn decide_about(&self, pod: &Pod, request: &Request, now: &Now) -> Decision {
        if !injection::asks(pod) {
            return Decision::allow(unclear_wish(pod).into_iter().collect());
        }
        let user = &request.user_info;
        if !self.requesters.allow(&user.username, &user.groups) {
            return self.pass_over(pod, request);
        }
        let live = Live {
            namespace: &request.namespace,
            trust_anchors: &now.trust_anchors,
            mtls: now.mtls,
        };
        match injection::inject(pod, &self.cluster, live) {
            Ok(injection) => self.patch(pod, request, injection),
            Err(refusal) => self.deny(injection::app_id(pod), refusal.to_string()),
        }
    }

    /// The pod is created without a sidecar: refusing it would let the injector stand in the way of unrelated work.
    fn pass_over(&self, pod: &Pod, request: &Request) -> Decision {
        let user = &request.user_info.username;
        let app_id = injection::app_id(pod);
        self.metrics.failed(app_id, Failure::NotEligible);
        warn!(
            app = app_id,
            user, "not on the list of accounts allowed to have sidecars injected"
        );
        Decision::allow(vec![format!(
            "dapr: no sidecar was injected: {user} is not allowed to create such pods; create it through a controller \
             (a Deployment), or list the account in dapr_sidecar_injector.allowedServiceAccounts"
        )])
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
        Decision {
            verdict: Verdict::Patch(injection.operations),
            warnings: injection.warnings,
        }
    }

    fn deny(&self, app_id: &str, reason: String) -> Decision {
        warn!(app = app_id, reason, "refused a pod");
        self.metrics.failed(app_id, Failure::Patch);
        Decision {
            warnings: vec![format!("dapr: {reason}")],
            verdict: Verdict::Deny(reason),
        }
    }
}

impl Decision {
    fn allow(warnings: Vec<String>) -> Self {
        Self {
            verdict: Verdict::Allow,
            warnings,
        }
    }
}

fn decode(object: Option<&RawValue>) -> Result<Pod, serde_json::Error> {
    serde_json::from_str(object.map_or("null", RawValue::get))
}

/// A pod whose author may have wanted a sidecar and misspelled it.
fn unclear_wish(pod: &Pod) -> Option<String> {
    let wish = pod
        .metadata
        .annotations
        .as_ref()?
        .get(annotation::ENABLED)?;
    let no = wish.trim().to_ascii_lowercase();
    (!NO.contains(&no.as_str())).then(|| {
        format!(
            "{}: {wish:?} is neither true nor false; no sidecar was injected",
            annotation::ENABLED
        )
    })
}

#[cfg(test)]
mod tests;
