//! Requests to the sidecar's own servers.

use prometheus::{HistogramVec, IntCounterVec};
use tokio::time::Instant;

use super::{Families, elapsed_ms};

/// Requests to the HTTP API.
#[derive(Debug, Clone)]
pub struct HttpServerMetrics {
    count: IntCounterVec,
    latency: HistogramVec,
}

impl HttpServerMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(families: Families<'_>) -> prometheus::Result<Self> {
        let labels = ["method", "path", "status"];
        Ok(Self {
            count: families.counter(
                "http_server_request_count",
                "Requests to the HTTP API.",
                &labels,
            )?,
            latency: families.latency(
                "http_server_latency",
                "Time until the head of a response, in milliseconds.",
                &labels,
            )?,
        })
    }

    /// Counts a request that began at `start`. `path` is the template of its route.
    pub fn served(
        &self,
        method: &http::Method,
        path: &str,
        (status, start): (http::StatusCode, Instant),
    ) {
        let method = if is_standard(method) {
            method.as_str()
        } else {
            "UNKNOWN"
        };
        let labels = [method, path, status.as_str()];
        self.count.with_label_values(&labels).inc();
        self.latency
            .with_label_values(&labels)
            .observe(elapsed_ms(start));
    }
}

fn is_standard(method: &http::Method) -> bool {
    use http::Method;
    const STANDARD: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    STANDARD.contains(method)
}

/// Requests to the gRPC API and to the internal server.
#[derive(Debug, Clone)]
pub struct GrpcServerMetrics {
    count: IntCounterVec,
    latency: HistogramVec,
}

impl GrpcServerMetrics {
    /// Registers the families.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(families: Families<'_>) -> prometheus::Result<Self> {
        let labels = ["grpc_server_method", "grpc_server_status"];
        Ok(Self {
            count: families.counter(
                "grpc_io_server_completed_rpcs",
                "Requests to the gRPC servers.",
                &labels,
            )?,
            latency: families.latency(
                "grpc_io_server_server_latency",
                "Time until the head of a response, in milliseconds.",
                &labels,
            )?,
        })
    }

    /// Counts a request that began at `start`.
    pub fn served(&self, method: &str, status: &str, start: Instant) {
        let labels = [method, status];
        self.count.with_label_values(&labels).inc();
        self.latency
            .with_label_values(&labels)
            .observe(elapsed_ms(start));
    }
}
