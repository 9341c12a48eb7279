//! The bodies of a call that is passed on: bytes untouched, but no message over the limit, and always an end that a gRPC
//! client understands.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use tonic::Status;

use crate::payload::BodyError;

const GRPC_STATUS: &str = "grpc-status";

/// The limit on messages of one call, and what went over it in the request.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    bytes: usize,
    excess: Arc<AtomicUsize>,
}

impl Limit {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            excess: Arc::default(),
        }
    }

    /// Watches a request. A message over the limit ends the call.
    pub(super) fn watch(&self, body: Body) -> Body {
        Body::new(RequestBody {
            body,
            messages: Messages::default(),
            limit: self.clone(),
        })
    }

    /// Why a call failed whose request was watched: its own fault comes first.
    pub(super) fn explain(&self, status: Status) -> Status {
        match self.excess.load(Ordering::Relaxed) {
            0 => status,
            size => self.too_large(size),
        }
    }

    /// Passes an answer on.
    pub(super) fn relay(self, response: Response<Body>) -> Response<Body> {
        let ended = response.headers().contains_key(GRPC_STATUS);
        response.map(|body| {
            Body::new(ResponseBody {
                body,
                messages: Messages::default(),
                limit: self,
                ended,
            })
        })
    }

    /// In the words of Go's gRPC.
    fn too_large(&self, size: usize) -> Status {
        Status::resource_exhausted(format!(
            "grpc: received message larger than max ({size} vs. {})",
            self.bytes
        ))
    }
}

/// Where the messages of a stream of bytes begin and end.
#[derive(Debug, Default)]
struct Messages {
    head: [u8; 5],
    filled: usize,
    left: usize,
}

impl Messages {
    /// Follows the bytes; the size of the first message over the limit is the error.
    fn follow(&mut self, mut data: &[u8], limit: usize) -> Result<(), usize> {
        while !data.is_empty() {
            let skipped = self.left.min(data.len());
            self.left -= skipped;
            data = &data[skipped..];
            if self.left > 0 || data.is_empty() {
                return Ok(());
            }
            let taken = (self.head.len() - self.filled).min(data.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&data[..taken]);
            self.filled += taken;
            data = &data[taken..];
            if self.filled == self.head.len() {
                let [_compressed, size @ ..] = self.head;
                self.filled = 0;
                self.left = u32::from_be_bytes(size) as usize;
                if self.left > limit {
                    return Err(self.left);
                }
            }
        }
        Ok(())
    }
}

struct RequestBody {
    body: Body,
    messages: Messages,
    limit: Limit,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(size) = this.messages.follow(data, this.limit.bytes)
        {
            this.limit.excess.store(size, Ordering::Relaxed);
            return Poll::Ready(Some(Err(BodyError::new(this.limit.too_large(size)))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

struct ResponseBody {
    body: Body,
    messages: Messages,
    limit: Limit,
    /// The status has been passed on.
    ended: bool,
}

impl ResponseBody {
    fn end_with(&mut self, status: Status) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.ended = true;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let written = self.limit.explain(status).add_header(&mut trailers);
        Some(
            written
                .map(|()| Frame::trailers(trailers))
                .map_err(BodyError::new),
        )
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                this.ended |= frame.is_trailers();
                let followed = frame
                    .data_ref()
                    .map(|data| this.messages.follow(data, this.limit.bytes));
                match followed {
                    Some(Err(size)) => this.end_with(this.limit.too_large(size)),
                    _ => Some(Ok(frame)),
                }
            }
            Some(Err(error)) if !this.ended => this.end_with(broken(error)),
            None if !this.ended => this.end_with(Status::internal(
                "server closed the stream without sending trailers",
            )),
            Some(Err(_)) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.body.is_end_stream()
    }
}

/// A stream that the other side reset has a code for it; a connection that is gone makes the server unavailable.
fn broken(error: BodyError) -> Status {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = format!("error reading from server: {cause}");
    match Status::from_error(Box::new(error)).code() {
        tonic::Code::Unknown => Status::unavailable(text),
        code => Status::new(code, text),
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;

    fn message(size: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(size.to_be_bytes());
        bytes.extend(vec![7; size as usize]);
        bytes
    }

    #[test]
    fn messages_are_followed_however_their_bytes_are_cut() {
        let bytes: Vec<u8> = [message(3), message(0), message(10)].concat();
        for cut in 1..=bytes.len() {
            let mut messages = Messages::default();
            for piece in bytes.chunks(cut) {
                messages.follow(piece, 10).unwrap();
            }
            assert_eq!((messages.left, messages.filled), (0, 0), "{cut}");
            let mut messages = Messages::default();
            let over = bytes
                .chunks(cut)
                .find_map(|piece| messages.follow(piece, 9).err());
            assert_eq!(over, Some(10), "{cut}");
        }
    }
}
