//! gRPC: requests to the sidecar's servers, and the sidecar's own requests.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Code;

use super::body::Sizes;
use super::definition::{Definition, Label, few, many};
use super::families::Making;
use super::family::{Family, Series};
use super::group::Group;
use super::http::size;
use super::value::{Counter, Histogram};
use super::{Metrics, elapsed_ms};
use crate::error::{metric_name, reason_in};

/// Label sets of a direction that are kept resolved.
const KEPT: usize = 500;
const SERVER: &[Label] = &[many("grpc_server_method"), few("grpc_server_status")];
const SERVER_METHOD: &[Label] = &[many("grpc_server_method")];
const CLIENT: &[Label] = &[many("grpc_client_method"), few("grpc_client_status")];
const CLIENT_METHOD: &[Label] = &[many("grpc_client_method")];
const PROBE: &[Label] = &[few("grpc_client_status")];

pub(super) static SERVER_COUNT: Definition = Definition::counter(
    "grpc_io_server_completed_rpcs",
    "Requests to the gRPC servers.",
    SERVER,
);
pub(super) static SERVER_LATENCY: Definition = Definition::latency(
    "grpc_io_server_server_latency",
    "Time to serve a request to the gRPC servers, in milliseconds.",
    SERVER,
);
pub(super) static SERVER_RECEIVED: Definition = Definition::size(
    "grpc_io_server_received_bytes_per_rpc",
    "Sizes of unary requests to the gRPC servers, in bytes.",
    SERVER_METHOD,
);
pub(super) static SERVER_SENT: Definition = Definition::size(
    "grpc_io_server_sent_bytes_per_rpc",
    "Sizes of unary responses of the gRPC servers, in bytes.",
    SERVER_METHOD,
);
pub(super) static CLIENT_COUNT: Definition = Definition::counter(
    "grpc_io_client_completed_rpcs",
    "Requests of the sidecar over gRPC, and requests of other sidecars passed on to the application.",
    CLIENT,
);
pub(super) static CLIENT_LATENCY: Definition = Definition::latency(
    "grpc_io_client_roundtrip_latency",
    "Time of such a request, in milliseconds.",
    CLIENT,
);
pub(super) static CLIENT_SENT: Definition = Definition::size(
    "grpc_io_client_sent_bytes_per_rpc",
    "Sizes of unary requests of the sidecar, in bytes.",
    CLIENT_METHOD,
);
pub(super) static CLIENT_RECEIVED: Definition = Definition::size(
    "grpc_io_client_received_bytes_per_rpc",
    "Sizes of unary responses to the sidecar, in bytes.",
    CLIENT_METHOD,
);
pub(super) static PROBE_COUNT: Definition = Definition::counter(
    "grpc_io_healthprobes_completed_count",
    "Health probes of the application over gRPC.",
    PROBE,
);
pub(super) static PROBE_LATENCY: Definition = Definition::latency(
    "grpc_io_healthprobes_roundtrip_latency",
    "Time of a health probe of the application over gRPC, in milliseconds.",
    PROBE,
);

/// The families, and what requests resolve to.
#[derive(Debug)]
pub(super) struct Grpc {
    server: Direction,
    client: Direction,
    probe_count: Arc<Family<Counter>>,
    probe_latency: Arc<Family<Histogram>>,
}

/// Requests to the sidecar, or of it.
#[derive(Debug)]
struct Direction {
    group: Group<Resolved>,
    count: Arc<Family<Counter>>,
    latency: Arc<Family<Histogram>>,
    request: Arc<Family<Histogram>>,
    response: Arc<Family<Histogram>>,
}

#[derive(Debug)]
struct Resolved {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
}

/// A call that ended.
#[derive(Debug, Clone, Copy)]
pub struct Completed<'a> {
    /// `/package.Service/Method`.
    pub method: &'a str,
    /// How it ended.
    pub status: Code,
    /// The sizes of its messages, if it had one each way.
    pub sizes: Option<Sizes>,
}

impl Grpc {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        Self {
            server: Direction {
                group: Group::new(KEPT),
                count: making.family(&SERVER_COUNT),
                latency: making.family(&SERVER_LATENCY),
                request: making.family(&SERVER_RECEIVED),
                response: making.family(&SERVER_SENT),
            },
            client: Direction {
                group: Group::new(KEPT),
                count: making.family(&CLIENT_COUNT),
                latency: making.family(&CLIENT_LATENCY),
                request: making.family(&CLIENT_SENT),
                response: making.family(&CLIENT_RECEIVED),
            },
            probe_count: making.family(&PROBE_COUNT),
            probe_latency: making.family(&PROBE_LATENCY),
        }
    }
}

impl Direction {
    fn completed(&self, call: &Completed<'_>, latency: f64) {
        let labels = [call.method, metric_name(call.status)];
        let series = self.group.get(&labels, || Resolved {
            count: self.count.resolve(&labels),
            latency: self.latency.resolve(&labels),
        });
        series.count.inc();
        series.latency.observe(latency);
        if let Some(sizes) = call.sizes {
            let labels = [call.method];
            self.request
                .record(&labels, |bytes| bytes.observe(size(sizes.request)));
            self.response
                .record(&labels, |bytes| bytes.observe(size(sizes.response)));
        }
    }
}

/// Requests to the gRPC API and to the internal server.
#[derive(Debug, Clone)]
pub struct GrpcServerMetrics(pub(super) Metrics);

impl GrpcServerMetrics {
    /// Counts a request that began at `start`.
    pub fn served(&self, call: &Completed<'_>, start: Instant) {
        self.0
            .with(|families| families.grpc.server.completed(call, elapsed_ms(start)));
    }

    /// Counts the error code in a response's head, if there is one.
    pub fn failed(&self, headers: &HeaderMap) {
        self.0.failed_for(|| reason_in(headers));
    }

    /// Counts a request of another sidecar that was passed on to the application, where upstream does.
    pub fn passed_on(&self, call: &Completed<'_>, start: Instant) {
        self.0
            .with(|families| families.grpc.client.completed(call, elapsed_ms(start)));
    }
}

/// Requests of the sidecar over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcClientMetrics(pub(super) Metrics);

impl GrpcClientMetrics {
    /// Counts a request that began at `start`.
    pub fn called(&self, call: &Completed<'_>, start: Instant) {
        self.0
            .with(|families| families.grpc.client.completed(call, elapsed_ms(start)));
    }

    /// Counts a health probe that began at `start`.
    pub fn probed(&self, status: Code, start: Instant) {
        self.0.with(|families| {
            let labels = [metric_name(status)];
            families.grpc.probe_count.record(&labels, Counter::inc);
            families
                .grpc
                .probe_latency
                .record(&labels, |latency| latency.observe(elapsed_ms(start)));
        });
    }
}
