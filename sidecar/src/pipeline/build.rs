//! From a Configuration to handlers. Pure: what serves is asked for through a closure.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use trilby_components::middleware::{Body, HttpMiddleware, Next, text};
use trilby_crds::{HandlerSpec, PipelineSpec};
use trilby_resources::Lookup;

/// A handler that is looked for by its name, type and version.
pub type Found = Result<Arc<dyn HttpMiddleware>, Lookup>;

/// One place of a pipeline.
pub enum Handler {
    /// A live component.
    Serving(Arc<dyn HttpMiddleware>),
    /// A component of this name that does not serve, and so refuses.
    OutOfService(String),
}

/// A handler that is not what the Configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// There is no such component: requests pass without it, as with upstream.
    Absent {
        /// As the Configuration has them.
        name: String,
        /// Such as `middleware.http.bearer`.
        type_name: String,
    },
    /// The component is there and does not serve: requests are refused until it does.
    Failing {
        /// As the Configuration has it.
        name: String,
        /// Why it does not serve.
        reason: String,
    },
}

/// The handlers of a pipeline, and what is wrong with some.
///
/// One that is absent is skipped. One that failed answers for itself with an error: it may be the one that
/// checks who calls, and a sidecar of upstream's would not run at all.
pub fn build(
    pipeline: Option<&PipelineSpec>,
    find: impl Fn(&HandlerSpec) -> Found,
) -> (Vec<Handler>, Vec<Skipped>) {
    let mut handlers = Vec::new();
    let mut skipped = Vec::new();
    for spec in pipeline.map_or(&[][..], |pipeline| &pipeline.handlers) {
        match find(spec) {
            Ok(handler) => handlers.push(Handler::Serving(handler)),
            Err(Lookup::NotFound | Lookup::NotConfigured) => skipped.push(Skipped::Absent {
                name: spec.name.clone(),
                type_name: spec.type_.clone(),
            }),
            Err(Lookup::Failed(reason)) => {
                let name = spec.name.clone();
                handlers.push(Handler::OutOfService(name.clone()));
                skipped.push(Skipped::Failing { name, reason });
            }
        }
    }
    (handlers, skipped)
}

impl Handler {
    pub(super) fn middleware(&self) -> Arc<dyn HttpMiddleware> {
        match self {
            Self::Serving(middleware) => Arc::clone(middleware),
            Self::OutOfService(name) => Arc::new(OutOfService { name: name.clone() }),
        }
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Serving(old), Self::Serving(new)) => {
                std::ptr::addr_eq(Arc::as_ptr(old), Arc::as_ptr(new))
            }
            (Self::OutOfService(old), Self::OutOfService(new)) => old == new,
            _ => false,
        }
    }
}

/// Stands for a middleware that does not serve.
struct OutOfService {
    name: String,
}

#[async_trait]
impl HttpMiddleware for OutOfService {
    async fn handle(&self, _: Request<Body>, _: Next<'_>) -> Response<Body> {
        let name = &self.name;
        let message = format!("the middleware {name} of this pipeline does not serve");
        text(StatusCode::INTERNAL_SERVER_ERROR, &message)
    }
}
