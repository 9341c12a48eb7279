//! A body that still belongs to an attempt: its end tells the circuit breaker how the attempt went, and the
//! policy's timeout ends it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use trilby_resiliency::{Guard, Ongoing, Outcome};

use crate::payload::BodyError;

/// The body. Dropped before its end, it was given up, which is a failure.
pub(super) struct Watched {
    body: Body,
    attempt: Ongoing,
    /// Bytes to come, if their number is known: who sends them on does not ask for more after the last.
    missing: Option<u64>,
}

impl Watched {
    pub(super) fn wrap(body: Body, guard: Guard) -> Body {
        let missing = body.size_hint().exact();
        let mut watched = Self {
            attempt: Ongoing::new(guard),
            missing,
            body,
        };
        watched.settle_if_whole();
        Body::new(watched)
    }

    fn settle_if_whole(&mut self) {
        if self.missing == Some(0) || self.body.is_end_stream() {
            self.attempt.settle(Outcome::Success);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(stopped) = self.attempt.poll_late(context) {
            self.body = Body::empty();
            return Poll::Ready(Some(Err(BodyError::new(stopped))));
        }
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.missing = self.missing.map(|missing| missing.saturating_sub(length));
                self.settle_if_whole();
            }
            Some(Err(_)) => self.attempt.settle(Outcome::Failure),
            None => self.attempt.settle(Outcome::Success),
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
