//! The reply of a proxied call under a policy: how it ended is told to the circuit breaker, and the policy's
//! timeout ends it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::Status;
use trilby_resiliency::{Guard, Ongoing, Outcome};

use super::replay::Kept;
use crate::blocks::invoke::stopped_status;
use crate::payload::BodyError;

/// Where gRPC carries a call's status.
const STATUS: &str = "grpc-status";

/// A reply whose beginning has arrived.
pub(super) enum Begun {
    /// The call has failed before any message.
    Failed {
        /// The status, which need not be one that gRPC defines.
        code: i32,
        /// The reply to pass on.
        reply: Response<Body>,
    },
    /// A message has arrived, or the call has succeeded without one.
    Replied(Response<Body>),
}

/// Waits for the beginning of a reply.
pub(super) async fn begun(reply: Response<Body>) -> Begun {
    let (head, mut body) = reply.into_parts();
    if let Some(code) = code_of(&head.headers) {
        return Begun::of(code, Response::from_parts(head, body));
    }
    match body.frame().await {
        Some(Ok(frame)) => {
            let code = frame
                .trailers_ref()
                .map(|trailers| code_of(trailers).unwrap_or(2));
            let body = Body::new(Resumed {
                first: Some(frame),
                rest: body,
            });
            let reply = Response::from_parts(head, body);
            match code {
                Some(code) => Begun::of(code, reply),
                None => Begun::Replied(reply),
            }
        }
        Some(Err(error)) => {
            let status = Status::unavailable(format!("the reply broke off: {error}"));
            let code = status.code() as i32;
            let reply = status.into_http();
            Begun::Failed { code, reply }
        }
        None => {
            let status = Status::internal("the reply ended without a status");
            let code = status.code() as i32;
            let reply = status.into_http();
            Begun::Failed { code, reply }
        }
    }
}

impl Begun {
    fn of(code: i32, reply: Response<Body>) -> Self {
        if code == 0 {
            Self::Replied(reply)
        } else {
            Self::Failed { code, reply }
        }
    }
}

fn code_of(headers: &HeaderMap) -> Option<i32> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// A body of which one frame has been read.
struct Resumed {
    first: Option<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// Keeps the attempt going until the reply's end.
pub(super) fn watched(
    reply: Response<Body>,
    guard: Guard,
    request: Option<Kept>,
) -> Response<Body> {
    if code_of(reply.headers()).is_some() {
        guard.settle(Outcome::Success);
        return reply;
    }
    let attempt = Ongoing::new(guard);
    reply.map(|body| {
        Body::new(Watched {
            body,
            attempt,
            request,
        })
    })
}

struct Watched {
    body: Body,
    attempt: Ongoing,
    request: Option<Kept>,
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
            let status = stopped_status(&stopped);
            return Poll::Ready(Some(Ok(trailers(&status))));
        }
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let outcome = match code_of(trailers) {
                        Some(0) => Outcome::Success,
                        _ => Outcome::Failure,
                    };
                    self.attempt.settle(outcome);
                }
            }
            Some(Err(_)) => {
                self.attempt.settle(Outcome::Failure);
                // Why this sidecar ended the request says more than that the reply broke off.
                if let Some(status) = self.request.as_ref().and_then(Kept::refusal) {
                    self.body = Body::empty();
                    return Poll::Ready(Some(Ok(trailers(&status))));
                }
            }
            None => self.attempt.settle(Outcome::Failure),
        }
        Poll::Ready(polled)
    }
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut headers = HeaderMap::new();
    // A text that no header can carry is left out; the code always goes.
    if status.add_header(&mut headers).is_err() {
        headers.insert(STATUS, http::HeaderValue::from(status.code() as i32));
    }
    Frame::trailers(headers)
}
