//! The request of a proxied call, sent on as it arrives and kept, so that it can be sent again.
//!
//! What a client sends is not known to be one message or many. The first is kept; a second one, where a policy
//! may repeat the call, is refused: half of a conversation cannot be repeated.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame};
use parking_lot::Mutex;
use tonic::Status;

use crate::payload::BodyError;

/// The head of a gRPC message: a flag and the length.
const HEAD: usize = 5;

/// A request, and what has arrived of it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<Source>>);

struct Source {
    body: Body,
    arrived: Vec<Bytes>,
    is_whole: bool,
    messages: Messages,
    /// The largest request kept, in bytes.
    limit: usize,
    refused: Option<Status>,
    /// The attempt that may read on; those before are over.
    attempt: u32,
    reader: Option<Waker>,
}

/// One attempt's copy of the request.
struct Replay {
    kept: Kept,
    attempt: u32,
    sent: usize,
}

impl Kept {
    /// Nothing has been read yet. Requests of more than `limit` bytes are refused.
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Source {
            body,
            arrived: Vec::new(),
            is_whole: false,
            messages: Messages::default(),
            limit,
            refused: None,
            attempt: 0,
            reader: None,
        })))
    }

    /// The request from its beginning, for the next attempt. The body of the attempt before ends.
    pub(super) fn again(&self) -> Body {
        let mut source = self.0.lock();
        source.attempt += 1;
        if let Some(reader) = source.reader.take() {
            reader.wake();
        }
        Body::new(Replay {
            kept: self.clone(),
            attempt: source.attempt,
            sent: 0,
        })
    }

    /// Why the request cannot be passed on, if it cannot.
    pub(super) fn refusal(&self) -> Option<Status> {
        self.0.lock().refused.clone()
    }
}

impl Source {
    /// Reads on, for the attempt that has sent everything that arrived.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        if let Some(status) = &self.refused {
            return Poll::Ready(Some(Err(BodyError::new(status.clone()))));
        }
        self.reader = Some(context.waker().clone());
        match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => {
                self.is_whole = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.refused = Some(Status::cancelled(format!("the request broke off: {error}")));
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) => Poll::Ready(Some(self.keep(frame))),
        }
    }

    fn keep(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let Some(data) = frame.data_ref() else {
            // Requests have no trailers in gRPC.
            return Ok(frame);
        };
        let kept: usize = self.arrived.iter().map(Bytes::len).sum();
        let refused = if self.messages.count(data) > 1 {
            Some(Status::failed_precondition(
                "cannot use resiliency policies with retries on streaming RPCs",
            ))
        } else if kept + data.len() > self.limit + HEAD {
            Some(Status::resource_exhausted(format!(
                "the message is larger than {} bytes",
                self.limit
            )))
        } else {
            self.arrived.push(data.clone());
            None
        };
        match refused {
            None => Ok(frame),
            Some(status) => {
                self.refused = Some(status.clone());
                Err(BodyError::new(status))
            }
        }
    }
}

impl http_body::Body for Replay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let kept = self.kept.clone();
        let mut source = kept.0.lock();
        if source.attempt != self.attempt {
            let over = Status::cancelled("the call is tried again");
            return Poll::Ready(Some(Err(BodyError::new(over))));
        }
        if let Some(data) = source.arrived.get(self.sent) {
            self.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let read = source.read(context);
        if matches!(&read, Poll::Ready(Some(Ok(_)))) {
            self.sent = source.arrived.len();
        }
        read
    }

    fn is_end_stream(&self) -> bool {
        let source = self.kept.0.lock();
        source.is_whole && self.sent == source.arrived.len()
    }
}

/// Counts the messages that begin in a stream of bytes.
#[derive(Default)]
struct Messages {
    begun: u32,
    head: Vec<u8>,
    /// Bytes of the current message that are still to come.
    rest: usize,
}

impl Messages {
    /// The messages begun so far, with these bytes.
    fn count(&mut self, mut data: &[u8]) -> u32 {
        while !data.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(data.len());
                self.rest -= skipped;
                data = &data[skipped..];
                continue;
            }
            if self.head.is_empty() {
                self.begun += 1;
            }
            let taken = (HEAD - self.head.len()).min(data.len());
            self.head.extend_from_slice(&data[..taken]);
            data = &data[taken..];
            if let [_, length @ ..] = self.head.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.rest = u32::from_be_bytes(length) as usize;
                self.head.clear();
            }
        }
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    fn message(content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[0][..], &length, content.as_bytes()].concat()
    }

    fn kept(parts: Vec<Vec<u8>>) -> Kept {
        let frames = parts
            .into_iter()
            .map(|part| Ok::<_, Infallible>(Bytes::from(part)));
        Kept::new(Body::from_stream(tokio_stream::iter(frames)), 100)
    }

    async fn sent(body: Body) -> Result<Bytes, String> {
        let collected = body.collect().await;
        collected
            .map(http_body_util::Collected::to_bytes)
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn one_message_is_sent_as_often_as_it_is_asked_for() {
        let whole = message("hello");
        let kept = kept(whole.chunks(3).map(<[u8]>::to_vec).collect());
        for _ in 0..3 {
            assert_eq!(sent(kept.again()).await.unwrap(), whole);
        }
        assert!(kept.refusal().is_none());
    }

    #[tokio::test]
    async fn an_attempt_that_ended_early_leaves_the_rest_to_the_next() {
        let whole = message("hello");
        let kept = kept(whole.chunks(3).map(<[u8]>::to_vec).collect());
        let mut first = kept.again();
        first.frame().await.unwrap().unwrap();
        assert_eq!(sent(kept.again()).await.unwrap(), whole);
        assert!(first.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn second_message_is_refused() {
        let both = [message("a"), message("b")].concat();
        for parts in [
            vec![both.clone()],
            both.chunks(1).map(<[u8]>::to_vec).collect(),
        ] {
            let kept = kept(parts);
            sent(kept.again()).await.unwrap_err();
            assert_eq!(kept.refusal().unwrap().code(), Code::FailedPrecondition);
        }
    }

    #[tokio::test]
    async fn empty_messages_are_messages() {
        let kept = kept(vec![message(""), message("")]);
        sent(kept.again()).await.unwrap_err();
        assert_eq!(kept.refusal().unwrap().code(), Code::FailedPrecondition);
    }

    #[tokio::test]
    async fn message_beyond_the_limit_is_refused() {
        let kept = kept(vec![message(&"x".repeat(101))]);
        sent(kept.again()).await.unwrap_err();
        assert_eq!(kept.refusal().unwrap().code(), Code::ResourceExhausted);
    }
}
