//! What metrics see of a request: everything between its head and the last byte of its answer.

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode};
use http_body::Body as _;
use tokio::time::Instant;

use super::respond::{ErrorCode, HttpResponse};
use crate::metrics::body::Watched;
use crate::metrics::{HttpServerMetrics, Served, Sizes};

/// An answer up to this length, in bytes, counts as served with its head: it leaves at once.
const AT_ONCE: u64 = 64 * 1024;

/// A request that is being served.
pub(super) struct Measured {
    method: Method,
    path: Option<PathAndQuery>,
    announced: u64,
    start: Instant,
}

impl Measured {
    pub(super) fn new(request: &Request<Body>) -> Self {
        let length = request.headers().get(CONTENT_LENGTH);
        Self {
            method: request.method().clone(),
            path: request.uri().path_and_query().cloned(),
            announced: length
                .and_then(|length| length.to_str().ok()?.parse().ok())
                .unwrap_or(0),
            start: Instant::now(),
        }
    }

    /// Counts the request, at once or when the last byte of its answer is sent.
    pub(super) fn finish(
        self,
        metrics: &HttpServerMetrics,
        response: HttpResponse,
    ) -> HttpResponse {
        if let Some(ErrorCode(code)) = response.extensions().get() {
            metrics.failed(code);
        }
        let status = response.status();
        match response.body().size_hint().exact() {
            Some(length @ ..=AT_ONCE) => {
                self.served(metrics, status, length);
                response
            }
            _ => {
                let metrics = metrics.clone();
                let tell = move |end: crate::metrics::body::End| {
                    self.served(&metrics, status, end.bytes);
                };
                response.map(|body| Body::new(Watched::new(body, tell)))
            }
        }
    }

    fn served(&self, metrics: &HttpServerMetrics, status: StatusCode, response: u64) {
        let served = Served {
            method: &self.method,
            path: self.path.as_ref().map_or("/", PathAndQuery::path),
            status,
            sizes: Sizes {
                request: self.announced,
                response,
            },
        };
        metrics.served(&served, self.start);
    }
}
