//! A body that still belongs to an attempt: its end tells the circuit breaker how the attempt went, and the
//! policy's timeout ends it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use trilby_resiliency::{Guard, Outcome};

use crate::payload::BodyError;

/// The body. Dropped before its end, it was given up, which is a failure.
pub(super) struct Watched {
    body: Body,
    guard: Option<Guard>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes to come, if their number is known: who sends them on does not ask for more after the last.
    missing: Option<u64>,
}

impl Watched {
    pub(super) fn wrap(body: Body, guard: Guard) -> Body {
        let missing = body.size_hint().exact();
        let mut watched = Self {
            deadline: guard
                .deadline()
                .map(|deadline| Box::pin(sleep_until(deadline))),
            guard: Some(guard),
            missing,
            body,
        };
        watched.settle_if_whole();
        Body::new(watched)
    }

    fn settle(&mut self, outcome: Outcome) {
        self.deadline = None;
        if let Some(guard) = self.guard.take() {
            guard.settle(outcome);
        }
    }

    fn settle_if_whole(&mut self) {
        if self.missing == Some(0) || self.body.is_end_stream() {
            self.settle(Outcome::Success);
        }
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let deadline = self.deadline.as_mut();
        deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready())
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_late(context)
            && let Some(guard) = self.guard.take()
        {
            self.deadline = None;
            self.body = Body::empty();
            return Poll::Ready(Some(Err(BodyError::new(guard.time_out()))));
        }
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.missing = self.missing.map(|missing| missing.saturating_sub(length));
                self.settle_if_whole();
            }
            Some(Err(_)) => self.settle(Outcome::Failure),
            None => self.settle(Outcome::Success),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
