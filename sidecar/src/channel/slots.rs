//! The limit on concurrent calls to the application.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::payload::BodyError;

/// Places for calls. Waiting for one is fair and ends with the caller.
#[derive(Debug, Clone)]
pub(super) struct Slots(Option<Arc<Semaphore>>);

impl Slots {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self(limit.map(|limit| Arc::new(Semaphore::new(limit))))
    }

    /// Takes a place; `None` when there is no limit.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let semaphore = self.0.clone()?;
        Some(
            semaphore
                .acquire_owned()
                .await
                .expect("the semaphore is never closed"),
        )
    }
}

/// Keeps a place until the answer has been read to its end or dropped.
pub(super) fn hold(body: Body, place: Option<OwnedSemaphorePermit>) -> Body {
    match place {
        Some(place) => Body::new(Held {
            body,
            _place: place,
        }),
        None => body,
    }
}

struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::FutureExt as _;

    use super::{Slots, hold};

    #[tokio::test]
    async fn place_is_held_until_the_answer_is_dropped() {
        let slots = Slots::new(Some(1));
        let body = hold(Body::from("x"), slots.take().await);
        assert!(slots.take().now_or_never().is_none());
        drop(body);
        assert!(slots.take().now_or_never().is_some());
    }

    #[tokio::test]
    async fn no_limit_never_waits() {
        let slots = Slots::new(None);
        assert!(slots.take().await.is_none());
    }
}
