//! The rest of a request that was answered before all of it had been read.
//!
//! Over HTTP/1 a client sends its body whole, whatever the answer. A server that closes the connection instead of
//! reading on makes the client see a broken pipe, and never the answer. So what is left is read and thrown away, as
//! Go's servers do; who sends more than a little is cut off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http::{Request, Version, header::EXPECT};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// How much is read after the answer, in bytes, as in Go's `net/http`.
const MOST: usize = 256 << 10;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(10);

/// A body whose rest is read when nobody is interested in it any more.
struct ReadOn<B>(Option<B>)
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static;

/// The request with a body that is read on. A client that waits for leave to send has sent nothing that could get in
/// the way, and HTTP/2 can end each stream by itself.
pub(super) fn read_on<B>(request: Request<B>) -> Request<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let whole = request.version() <= Version::HTTP_11 && !request.headers().contains_key(EXPECT);
    if whole && !request.body().is_end_stream() {
        request.map(|body| Body::new(ReadOn(Some(body))))
    } else {
        request.map(Body::new)
    }
}

async fn throw_away<B>(mut body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, |data| data.remaining());
        if read > left {
            return;
        }
        left -= read;
    }
}

impl<B> http_body::Body for ReadOn<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B> Drop for ReadOn<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let unread = self.0.take().filter(|body| !body.is_end_stream());
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(body), Ok(runtime)) = (unread, runtime) {
            runtime.spawn(tokio::time::timeout(LONGEST, throw_away(body)));
        }
    }
}
