//! The body of an application's answer, as it arrives.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

/// Keeps the call's place until it has been read to its end or dropped.
///
/// The length that an application announces is not passed on, for it may be wrong: a body shorter than announced counts as
/// whole, as upstream's users expect, and one that breaks off in the middle of a chunk does not.
pub(super) struct AppBody {
    inner: Incoming,
    announced: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl AppBody {
    pub(super) fn new(
        inner: Incoming,
        headers: &HeaderMap,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            inner,
            announced: headers.contains_key(CONTENT_LENGTH),
            _place: place,
        }
    }
}

impl http_body::Body for AppBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Err(error)) if self.announced && ended_early(&error) => {
                tracing::warn!("the application's answer is shorter than its Content-Length says");
                Poll::Ready(None)
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.inner.is_end_stream() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

/// The connection was closed, in order, before the announced end.
fn ended_early(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}
