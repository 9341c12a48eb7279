//! Proxied calls under the policy of their target.
//!
//! A call that is not marked as a stream belongs to one attempt from its request to its last message; it is tried
//! again only while nothing of the reply has been passed on. For one that is marked, timeout and retries would
//! cut a conversation short: only the circuit breaker counts whether it begins.

use axum::body::Body;
use http::{Request, Response};
use tonic::Status;
use trilby_resiliency::{Failure, Policy, Stopped, open, run};

use super::replay::Kept;
use super::reply::{Begun, begun, watched};
use super::{Proxy, kind};
use crate::blocks::invoke::headers::APP_ID;
use crate::blocks::invoke::{Target, stopped_status};
use crate::metrics::CallKind;

/// A failed attempt.
enum Failed {
    /// The target answered with a status.
    Answered(Box<Response<Body>>),
    /// It was not reached, or a policy ended the attempt.
    Unanswered(Status),
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self::Unanswered(stopped_status(&stopped))
    }
}

impl Failed {
    fn answer(self) -> Result<Response<Body>, Status> {
        match self {
            Self::Answered(reply) => Ok(*reply),
            Self::Unanswered(status) => Err(status),
        }
    }
}

impl Proxy {
    /// Passes a call on to another sidecar, under the policy of the app that its client named.
    pub(super) async fn to_target(
        &self,
        request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Body>, Status> {
        let Some(policy) = self.policy(&request) else {
            return self.to_sidecar(request, target).await;
        };
        match kind(request.headers()) {
            CallKind::Streaming => Box::pin(self.stream(policy, request, target)).await,
            CallKind::Unary => Box::pin(self.call(policy, request, target)).await,
        }
    }

    fn policy(&self, request: &Request<Body>) -> Option<Policy> {
        let app_id = request.headers().get(APP_ID)?.to_str().ok()?;
        let policies = self.blocks.invoke.resiliency.policies();
        policies.app(app_id, request.uri().path())
    }

    async fn stream(
        &self,
        policy: Policy,
        request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Body>, Status> {
        let mut request = Some(request);
        let attempt = |_| {
            let request = request
                .take()
                .expect("without retries there is one attempt");
            async {
                let passed = self.to_sidecar(request, target).await;
                passed.map_err(|status| Failure::last(Failed::Unanswered(status)))
            }
        };
        let passed = run(policy.once().without_timeout(), attempt).await;
        passed.or_else(Failed::answer)
    }

    async fn call(
        &self,
        policy: Policy,
        request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Body>, Status> {
        let (head, body) = request.into_parts();
        let mut once = None;
        let kept = if policy.repeats() {
            Some(Kept::new(body, self.blocks.invoke.max_body))
        } else {
            once = Some(body);
            None
        };
        let attempt = |_| {
            let body = kept.as_ref().map(Kept::again).or_else(|| once.take());
            let body = body.expect("without retries there is one attempt");
            let request = Request::from_parts(head.clone(), body);
            self.attempt(request, target, kept.as_ref())
        };
        match open(Some(policy), attempt).await {
            Ok(opened) => Ok(match opened.guard {
                Some(guard) if guard.watches() || kept.is_some() => {
                    watched(opened.value, guard, kept)
                }
                _ => opened.value,
            }),
            Err(failed) => failed.answer(),
        }
    }

    async fn attempt(
        &self,
        request: Request<Body>,
        target: &Target,
        kept: Option<&Kept>,
    ) -> Result<Response<Body>, Failure<Failed>> {
        let result = match self.to_sidecar(request, target).await {
            Ok(reply) => begun(reply).await,
            Err(status) => {
                let code = status.code() as i32;
                let reply = status.into_http();
                Begun::Failed { code, reply }
            }
        };
        // What the client did wrong is not the target's failure to answer.
        if let Some(status) = kept.and_then(Kept::refusal) {
            return Err(Failure::last(Failed::Unanswered(status)));
        }
        match result {
            Begun::Replied(reply) => Ok(reply),
            Begun::Failed { code, reply } => {
                Err(Failure::code(code, Failed::Answered(Box::new(reply))))
            }
        }
    }
}
