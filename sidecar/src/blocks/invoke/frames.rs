//! How a call and its answer travel between sidecars: a head, then numbered pieces of the body.
//!
//! Any piece may be as small or as large as its sender likes. The first message carries the head and may
//! carry a piece; later ones carry pieces only; numbers start at 0 and grow by 1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as _, Frame as BodyFrame, SizeHint};
use tonic::Status;
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::internals::v1::{
    InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponse,
    InternalInvokeResponseStream,
};

use crate::payload::{BodyError, Payload};

/// The largest piece sent, in bytes. Upstream sends 2 KiB; receivers take any size up to their message
/// limit, and fewer, larger pieces cost less on both sides.
const LARGEST_PIECE: usize = 64 * 1024;

/// A message of either direction.
pub trait Message: Default {
    /// What the first message carries besides a piece.
    type Head;

    /// Builds a message.
    fn join(head: Option<Self::Head>, payload: Option<StreamPayload>) -> Self;

    /// Takes a message apart; the head is `None` when the message carries nothing of one.
    fn split(self) -> (Option<Self::Head>, Option<StreamPayload>);

    /// What a later message with a head is called.
    const LATE_HEAD: &'static str;
}

impl Message for InternalInvokeRequestStream {
    type Head = InternalInvokeRequest;

    fn join(request: Option<Self::Head>, payload: Option<StreamPayload>) -> Self {
        Self { request, payload }
    }

    fn split(self) -> (Option<Self::Head>, Option<StreamPayload>) {
        let head = self
            .request
            .filter(|head| !head.metadata.is_empty() || head.message.is_some());
        (head, self.payload)
    }

    const LATE_HEAD: &'static str = "request metadata found in non-leading chunk";
}

impl Message for InternalInvokeResponseStream {
    type Head = InternalInvokeResponse;

    fn join(response: Option<Self::Head>, payload: Option<StreamPayload>) -> Self {
        Self { response, payload }
    }

    fn split(self) -> (Option<Self::Head>, Option<StreamPayload>) {
        let carries = |head: &Self::Head| {
            head.status.is_some() || !head.headers.is_empty() || head.message.is_some()
        };
        (self.response.filter(carries), self.payload)
    }

    const LATE_HEAD: &'static str = "response metadata found in non-leading chunk";
}

/// The messages that carry a head and a body. The head leaves at once, with the first piece if that is
/// there already.
#[derive(Debug)]
pub struct Outgoing<M: Message> {
    head: Option<M::Head>,
    ready: Bytes,
    body: Option<Body>,
    next: u64,
}

impl<M: Message> Outgoing<M> {
    /// Sends `head` and then `body`.
    pub fn new(head: M::Head, body: Payload) -> Self {
        let (ready, body) = match body {
            Payload::Bytes(bytes) => (bytes, None),
            Payload::Stream(body) => (Bytes::new(), Some(body)),
        };
        Self {
            head: Some(head),
            ready,
            body,
            next: 0,
        }
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<StreamPayload, BodyError>>> {
        while self.ready.is_empty() {
            let Some(body) = self.body.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => self.ready = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.body = None,
            }
        }
        let data = self.ready.split_to(self.ready.len().min(LARGEST_PIECE));
        let seq = self.next;
        self.next += 1;
        Poll::Ready(Some(Ok(StreamPayload { data, seq })))
    }
}

// Nothing inside is pinned: the body is boxed, heads are plain values.
impl<M: Message> Unpin for Outgoing<M> {}

impl<M: Message> Stream for Outgoing<M> {
    type Item = Result<M, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.poll_piece(context);
        match (self.head.take(), piece) {
            (head, Poll::Ready(Some(Ok(piece)))) => {
                Poll::Ready(Some(Ok(M::join(head, Some(piece)))))
            }
            (_, Poll::Ready(Some(Err(error)))) => Poll::Ready(Some(Err(error))),
            (Some(head), _) => Poll::Ready(Some(Ok(M::join(Some(head), None)))),
            (None, Poll::Ready(None)) => Poll::Ready(None),
            (None, Poll::Pending) => Poll::Pending,
        }
    }
}

/// The body behind a head that has been received.
#[derive(Debug)]
pub struct Incoming<S> {
    messages: S,
    first: Option<StreamPayload>,
    expected: u64,
    length: Option<u64>,
    ended: bool,
}

impl<S> Incoming<S> {
    /// The body whose first piece, if any, came with the head.
    pub fn new(first: Option<StreamPayload>, messages: S) -> Self {
        Self {
            messages,
            first,
            expected: 0,
            length: None,
            ended: false,
        }
    }

    /// Announces the body's length in bytes, where the other side told it.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    fn accept(&mut self, piece: StreamPayload) -> Result<BodyFrame<Bytes>, Status> {
        if piece.seq != self.expected {
            let text = format!(
                "invalid sequence number received: {} (expected: {})",
                piece.seq, self.expected
            );
            return Err(self.fail(text));
        }
        self.expected += 1;
        self.length = self
            .length
            .map(|length| length.saturating_sub(piece.data.len() as u64));
        Ok(BodyFrame::data(piece.data))
    }

    fn fail(&mut self, text: impl Into<String>) -> Status {
        self.ended = true;
        Status::invalid_argument(text)
    }
}

impl<S: Unpin> Unpin for Incoming<S> {}

impl<M, S> http_body::Body for Incoming<S>
where
    M: Message,
    S: Stream<Item = Result<M, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.first.take() {
                return Poll::Ready(Some(self.accept(piece)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.messages).poll_next(context)) {
                None => self.ended = true,
                Some(Err(status)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
                Some(Ok(message)) => match message.split() {
                    (Some(_), _) => return Poll::Ready(Some(Err(self.fail(M::LATE_HEAD)))),
                    (None, piece) => self.first = piece,
                },
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
