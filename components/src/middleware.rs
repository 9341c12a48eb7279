//! HTTP middleware: what stands between a client and the HTTP API, or between the sidecar and its application.
//!
//! A pipeline is a slice of [`HttpMiddleware`], outermost first, around an end that answers. Each gets the
//! request and the [`Next`] of it: it may answer itself, change the request, or change the response. Nothing
//! of a request is kept in the middleware or in the pipeline, so concurrent requests cannot meet.
//!
//! Bodies stream both ways unless a middleware needs one whole ([`collect`]).

mod body;

use std::{fmt, net::SocketAddr, pin::Pin, sync::Arc};

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};

pub use body::{Body, BodyError, CollectError, collect, empty, full};

/// One middleware.
#[async_trait]
pub trait HttpMiddleware: Send + Sync {
    /// Answers a request, by itself or through `next`.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up; it may have been passed on by then.
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body>;

    /// Releases what it holds. Called once, when no request uses it any more.
    async fn close(&self) {}
}

/// Who sent a request, as an extension of it; absent from requests that the sidecar makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteAddress(pub SocketAddr);

/// A response that is still to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

type End<'a> = Box<dyn FnOnce(Request<Body>) -> Answering<'a> + Send + 'a>;

/// What comes after a middleware. Using it up is the only way on, so nobody runs the rest twice.
pub struct Next<'a> {
    rest: &'a [Arc<dyn HttpMiddleware>],
    end: End<'a>,
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({} more)", self.rest.len())
    }
}

impl<'a> Next<'a> {
    /// `pipeline`, outermost first, around `end`.
    pub fn new<F, Fut>(pipeline: &'a [Arc<dyn HttpMiddleware>], end: F) -> Self
    where
        F: FnOnce(Request<Body>) -> Fut + Send + 'a,
        Fut: Future<Output = Response<Body>> + Send + 'a,
    {
        Self {
            rest: pipeline,
            end: Box::new(|request| Box::pin(end(request))),
        }
    }

    /// Passes the request on.
    pub async fn run(self, request: Request<Body>) -> Response<Body> {
        match self.rest.split_first() {
            Some((first, rest)) => {
                let next = Self {
                    rest,
                    end: self.end,
                };
                first.handle(request, next).await
            }
            None => (self.end)(request).await,
        }
    }
}

/// The answer of a middleware that refuses: plain text, the status' own name.
#[must_use]
pub fn refusal(status: StatusCode) -> Response<Body> {
    text(status, status.canonical_reason().unwrap_or_default())
}

/// A plain-text answer.
#[must_use]
pub fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(full(message.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests;
