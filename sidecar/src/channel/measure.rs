//! What metrics see of a request to an application: from its head to the head of the answer, and the answer's length.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use tokio::time::Instant;

use crate::blocks::invoke::CallError;
use crate::metrics::body::{End, Watched};
use crate::metrics::{HttpClientMetrics, Served, Sizes};

/// A request that is on its way.
pub(super) struct Measured {
    method: Method,
    uri: Uri,
    length: u64,
    start: Instant,
}

impl Measured {
    pub(super) fn new(request: &Request<Body>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            length: request.body().size_hint().exact().unwrap_or(0),
            start: Instant::now(),
        }
    }

    /// Counts the request. An answer whose length is not known is measured while it is read.
    pub(super) fn finish(
        self,
        metrics: &HttpClientMetrics,
        answered: Result<Response<Body>, CallError>,
    ) -> Result<Response<Body>, CallError> {
        let status = answered
            .as_ref()
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
        let length = match &answered {
            Ok(response) => response.body().size_hint().exact(),
            Err(_) => Some(0),
        };
        let called = Served {
            method: &self.method,
            path: self.uri.path(),
            status,
            sizes: Sizes {
                request: self.length,
                response: length.unwrap_or(0),
            },
        };
        metrics.called(&called, self.start);
        if let Some(length) = length {
            metrics.received(length);
            return answered;
        }
        let metrics = metrics.clone();
        let tell = move |end: End| metrics.received(end.bytes);
        answered.map(|response| response.map(|body| Body::new(Watched::new(body, tell))))
    }
}
