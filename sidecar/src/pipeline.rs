//! HTTP middleware pipelines: around the HTTP API, and around every HTTP call that the sidecar makes to its
//! application.
//!
//! ```text
//! client ─► token ─► [server pipeline] ─► log ─► route          sidecar ─► [app pipeline] ─► application
//! ```
//!
//! A pipeline is one immutable [`Chain`], built from the Configuration and the live components and swapped
//! whole. A request runs through the chain that it began with and owns its way through it, so neither a change
//! nor another request can mix into it. Without handlers there is no chain, and nothing is done per request.

mod build;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::body::Body as HttpBody;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use trilby_components::middleware::{Body, HttpMiddleware, Next, RemoteAddress};
use trilby_grpc::peer;

pub use build::{Found, Handler, Skipped, build};

/// A pipeline as it is now. Clones see the same.
#[derive(Clone, Default)]
pub struct Pipeline(Arc<ArcSwapOption<Chain>>);

/// Handlers in order, outermost first; never empty.
pub struct Chain {
    built_from: Vec<Handler>,
    handlers: Vec<Arc<dyn HttpMiddleware>>,
}

// === impl Pipeline ===

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers = self
            .0
            .load()
            .as_ref()
            .map_or(0, |chain| chain.handlers.len());
        write!(f, "Pipeline({handlers} handlers)")
    }
}

impl Pipeline {
    /// The chain for one request; `None` when there is nothing to run through.
    pub fn current(&self) -> Option<Arc<Chain>> {
        // A look without counting first: the common case has no chain.
        if self.0.load().is_none() {
            return None;
        }
        self.0.load_full()
    }

    /// Makes a call of the sidecar's own through the chain, if there is one. A failure of `end` is what the caller hears,
    /// whatever the middleware makes of it.
    ///
    /// # Errors
    /// Those of `end`.
    pub async fn around<F, Fut, E>(
        &self,
        request: Request<HttpBody>,
        end: F,
    ) -> Result<Response<HttpBody>, E>
    where
        F: FnOnce(Request<HttpBody>) -> Fut + Send,
        Fut: Future<Output = Result<Response<HttpBody>, E>> + Send,
        E: Send,
    {
        let Some(chain) = self.current() else {
            return end(request).await;
        };
        let mut failure = None;
        let failed = &mut failure;
        let end = |request| async move {
            end(request).await.unwrap_or_else(|error| {
                *failed = Some(error);
                Response::new(HttpBody::empty())
            })
        };
        // The rare way: kept out of what every call takes.
        let response = Box::pin(chain.run(request, end)).await;
        failure.map_or(Ok(response), Err)
    }

    /// Puts `handlers` into service for requests that begin from now on; false when they serve already.
    pub fn swap(&self, handlers: Vec<Handler>) -> bool {
        let current = self.0.load();
        let serving = current.as_ref().map_or(&[][..], |chain| &chain.built_from);
        let pairs = || serving.iter().zip(&handlers);
        if serving.len() == handlers.len() && pairs().all(|(old, new)| old.is_same_as(new)) {
            return false;
        }
        let chain = (!handlers.is_empty()).then(|| Arc::new(Chain::new(handlers)));
        self.0.store(chain);
        true
    }
}

// === impl Chain ===

impl Chain {
    fn new(built_from: Vec<Handler>) -> Self {
        let handlers = built_from.iter().map(Handler::middleware).collect();
        Self {
            built_from,
            handlers,
        }
    }

    /// Runs a request through the handlers, to `end`.
    pub async fn run<F, Fut>(&self, request: Request<HttpBody>, end: F) -> Response<HttpBody>
    where
        F: FnOnce(Request<HttpBody>) -> Fut + Send,
        Fut: Future<Output = Response<HttpBody>> + Send,
    {
        let mut request = request.map(inward);
        if let Some(address) = peer(request.extensions()).and_then(|peer| peer.addr) {
            request.extensions_mut().insert(RemoteAddress(address));
        }
        let end =
            |request: Request<Body>| async { end(request.map(HttpBody::new)).await.map(inward) };
        Next::new(&self.handlers, end)
            .run(request)
            .await
            .map(HttpBody::new)
    }
}

fn inward(body: HttpBody) -> Body {
    body.map_err(Into::into).boxed_unsync()
}

#[cfg(test)]
mod tests;
