//! Bodies that tell how long they were when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tonic::Code;

/// What a request and its answer carried, in bytes, without heads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The request.
    pub request: u64,
    /// The answer.
    pub response: u64,
}

/// Bytes that went by so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Passed(Arc<AtomicU64>);

impl Passed {
    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A body that counts its bytes.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    passed: Passed,
}

impl<B> Counted<B> {
    /// Counts into `passed`.
    pub fn new(body: B, passed: Passed) -> Self {
        Self { body, passed }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.passed.0.fetch_add(data.remaining() as u64, Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its length in bytes.
    pub bytes: u64,
    /// The status in its trailers, if it had any.
    pub status: Option<Code>,
}

/// A body that tells its end, once: also when it is dropped before.
pub struct Watched<B, F: FnOnce(End)> {
    body: B,
    end: End,
    tell: Option<F>,
}

impl<B, F: FnOnce(End)> Watched<B, F> {
    /// Calls `tell` at the end.
    pub fn new(body: B, tell: F) -> Self {
        Self {
            body,
            end: End {
                bytes: 0,
                status: None,
            },
            tell: Some(tell),
        }
    }

    fn ended(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(self.end);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin, F: FnOnce(End) + Unpin> Body for Watched<B, F> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.end.bytes += data.remaining() as u64;
                }
                if let Some(trailers) = frame.trailers_ref() {
                    let status = trailers.get("grpc-status");
                    self.end.status = status.map(|status| Code::from_bytes(status.as_bytes()));
                    self.ended();
                }
            }
            Some(Err(_)) | None => self.ended(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, F: FnOnce(End)> Drop for Watched<B, F> {
    fn drop(&mut self) {
        self.ended();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use parking_lot::Mutex;

    use super::{Counted, End, Passed, Watched};

    #[tokio::test]
    async fn a_body_tells_its_length_once_also_when_it_is_dropped() {
        let ends: Arc<Mutex<Vec<u64>>> = Arc::default();
        let tell = || {
            let ends = Arc::clone(&ends);
            move |end: End| ends.lock().push(end.bytes)
        };
        let read = Watched::new(Body::from("abc"), tell()).collect().await;
        assert_eq!(read.unwrap().to_bytes(), "abc");
        drop(Watched::new(Body::from("abc"), tell()));
        assert_eq!(*ends.lock(), [3, 0]);
    }

    #[tokio::test]
    async fn bytes_are_counted_as_they_pass() {
        let passed = Passed::default();
        let body = Counted::new(Body::from("abc"), passed.clone());
        assert_eq!(passed.get(), 0);
        body.collect().await.unwrap();
        assert_eq!(passed.get(), 3);
    }
}
