//! Policies of invocations: those that Resiliency resources give a target, around the whole call, and the
//! built-in one for the hop to another sidecar, where no resource names the target.

use std::sync::Arc;

use http::StatusCode;
use tonic::{Code, Status};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_resiliency::{Backoff, Builtin, Failure, Open, Policy, Stopped, open};

use super::headers::Origin;
use super::watched::Watched;
use super::{Answer, Call, CallError, Invoker, Outcome, Target};
use crate::payload::{Payload, Spare};

/// An invocation without an answer of an application.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// No application was reached, or it gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A policy ended it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A failed attempt.
enum Failed {
    /// The application answered with an error.
    Answered(Box<Answer>),
    /// There is no answer.
    Unanswered(InvokeError),
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self::Unanswered(stopped.into())
    }
}

impl Invoker {
    /// Invokes `target`, an application or what else can be invoked, under its policy. A policy's last failed
    /// answer is an answer.
    ///
    /// # Errors
    /// The target or the method is malformed, no application answered, or the policy let no attempt through.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the call; the application may have handled it.
    pub async fn invoke(&self, target: &str, call: Call) -> Result<Answer, InvokeError> {
        let method = self.breaker_key(target, &call);
        let Some(policy) = self.resiliency.policies().app(target, method) else {
            return Ok(self.invoke_once(target, call).await?);
        };
        // What most calls do not need is not to weigh on each of them; so below.
        Box::pin(self.invoke_under(policy, target, call)).await
    }

    async fn invoke_under(
        &self,
        policy: Policy,
        target: &str,
        call: Call,
    ) -> Result<Answer, InvokeError> {
        let (origin, verb) = (call.origin, call.verb);
        let streaming = call.body.replay().is_none();
        let policy = if streaming { policy.once() } else { policy };
        let keeps = policy.repeats();
        let mut call = Some(call);
        let attempt = |_| {
            let call = if keeps {
                call.as_ref().and_then(Call::replay)
            } else {
                call.take()
            };
            let call =
                call.expect("a call that is sent once is sent first, others can be replayed");
            async move {
                let answered = Box::pin(self.invoke_once(target, call)).await;
                judge(answered, origin, streaming)
            }
        };
        match open(Some(policy), attempt).await {
            Ok(Open { value, guard }) => Ok(match guard {
                Some(guard) if guard.watches() => watched(value, verb, guard),
                _ => value,
            }),
            Err(Failed::Answered(answer)) => Ok(*answer),
            Err(Failed::Unanswered(error)) => Err(error),
        }
    }

    /// Calls the target's sidecar, again if it was not reached and the body can be sent again, unless a
    /// resource names the target. Each attempt looks the target up afresh, so that one that moved is found.
    pub(super) async fn invoke_hop(
        &self,
        target: &Target,
        mut call: Call,
    ) -> Result<Answer, CallError> {
        let spare = call.body.spare();
        match self.attempt(target, &mut call).await {
            Err(error) if was_not_reached(&error) => {
                Box::pin(self.attempt_again(target, (call, spare), error)).await
            }
            finished => finished,
        }
    }

    async fn attempt_again(
        &self,
        target: &Target,
        (mut call, mut spare): (Call, Spare),
        mut failed: CallError,
    ) -> Result<Answer, CallError> {
        let policies = self.resiliency.policies();
        if policies.names_app(&target.app_id) {
            return Err(failed);
        }
        let retry = Arc::clone(policies.builtin(Builtin::ServiceRetries));
        drop(policies);
        let (mut backoff, began) = (Backoff::new(&retry), tokio::time::Instant::now());
        let mut retries = 0;
        while let Some(pause) = backoff.next(began.elapsed(), rand::random()) {
            let Some(body) = spare.take() else {
                return Err(failed);
            };
            tracing::debug!(app = %target.app_id, retries, error = %failed, "target was not reached");
            tokio::time::sleep(pause).await;
            retries += 1;
            call.body = body;
            spare = call.body.spare();
            failed = match self.attempt(target, &mut call).await {
                Err(error) if was_not_reached(&error) => error,
                finished => return finished,
            };
        }
        Err(CallError {
            message: format!(
                "failed to invoke target {} after {retries} retries. Error: {}",
                target.app_id, failed.message
            ),
            ..failed
        })
    }
}

/// What an attempt is for a policy. Over HTTP an answer of a gRPC application is one, whatever its status.
fn judge(
    answered: Result<Answer, CallError>,
    origin: Origin,
    streaming: bool,
) -> Result<Answer, Failure<Failed>> {
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) if streaming => return Err(Failure::last(Failed::Unanswered(error.into()))),
        Err(error) => return Err(Failure::again(Failed::Unanswered(error.into()))),
    };
    let is_success = match (origin, &answer.outcome) {
        (Origin::Grpc, outcome) => outcome.grpc() == Code::Ok,
        (Origin::Http, Outcome::Grpc { .. }) if !streaming => true,
        (Origin::Http, outcome) => (200..400).contains(&outcome.http().as_u16()),
    };
    if is_success {
        return Ok(answer);
    }
    let number = answer.outcome.number();
    let failed = Failed::Answered(Box::new(answer));
    Err(if streaming {
        Failure::last(failed)
    } else {
        Failure::code(number, failed)
    })
}

/// The attempt goes on until the answer's body has arrived.
fn watched(mut answer: Answer, verb: Verb, guard: trilby_resiliency::Guard) -> Answer {
    let status = answer.outcome.http();
    let bodiless = verb == Verb::Head
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    answer.body = match answer.body {
        Payload::Stream(body) if !bodiless => Payload::Stream(Watched::wrap(body, guard)),
        arrived => {
            guard.settle(trilby_resiliency::Outcome::Success);
            arrived
        }
    };
    answer
}

fn was_not_reached(error: &CallError) -> bool {
    matches!(error.code, Code::Unavailable | Code::Unauthenticated)
}

impl InvokeError {
    /// The kind of failure.
    pub fn code(&self) -> Code {
        match self {
            Self::Call(error) => error.code,
            Self::Stopped(stopped) => code_of(stopped),
        }
    }
}

/// What a policy that ended a call is over gRPC.
pub fn stopped_status(stopped: &Stopped) -> Status {
    Status::new(code_of(stopped), stopped.to_string())
}

fn code_of(stopped: &Stopped) -> Code {
    match stopped {
        Stopped::TimedOut => Code::DeadlineExceeded,
        Stopped::Refused(_) => Code::Unknown,
    }
}
