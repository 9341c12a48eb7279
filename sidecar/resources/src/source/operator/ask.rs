//! Calls with one answer, bounded in time and counted.

use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::{Code, Response, Status};

use super::Operator;
use crate::observer::Asked;

/// How long one call may take; upstream's number.
const CALL: Duration = Duration::from_secs(5);

impl Operator {
    /// Makes the call `/package.Service/Method`, within [`CALL`].
    ///
    /// # Errors
    /// The operator's, or that it did not answer in time.
    pub(super) async fn ask<Q: Message, A: Message, F>(
        &self,
        method: &'static str,
        question: Q,
        send: impl FnOnce(Q) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (since, request) = (Instant::now(), question.encoded_len());
        let answer = timeout(CALL, send(question))
            .await
            .unwrap_or_else(|_| Err(late()));
        let answer = answer.map(Response::into_inner);
        self.observer.asked(&Asked {
            method,
            status: answer.as_ref().map_or_else(Status::code, |_| Code::Ok),
            request,
            response: answer.as_ref().map_or(0, Message::encoded_len),
            since,
        });
        answer
    }
}

fn late() -> Status {
    Status::deadline_exceeded(format!("the operator did not answer within {CALL:?}"))
}
