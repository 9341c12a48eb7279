//! HTTP: requests to the sidecar's API, and the sidecar's own requests to the application.

use std::cell::RefCell;
use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::body::Sizes;
use super::definition::{Definition, Label, few, many};
use super::families::Making;
use super::family::{Family, Series};
use super::group::Group;
use super::settings::Settings;
use super::value::{Counter, Histogram};
use super::{Metrics, elapsed_ms};

/// Series of families with a path. Paths are what most users want to see apart.
const LIMIT: usize = 1000;
const REQUEST: &[Label] = &[few("method"), many("path"), few("status")];
const STATUS: &[Label] = &[few("status")];

pub(super) static SERVER_COUNT: Definition = Definition::counter(
    "http_server_request_count",
    "Requests to the HTTP API.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static SERVER_LATENCY: Definition = Definition::latency(
    "http_server_latency",
    "Time to serve a request to the HTTP API, in milliseconds.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static SERVER_RESPONSES: Definition = Definition::counter(
    "http_server_response_count",
    "Responses of the HTTP API; with increasedCardinality only.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static SERVER_REQUEST_BYTES: Definition = Definition::size(
    "http_server_request_bytes",
    "Announced sizes of request bodies of the HTTP API, in bytes.",
    &[],
);
pub(super) static SERVER_RESPONSE_BYTES: Definition = Definition::size(
    "http_server_response_bytes",
    "Sizes of response bodies of the HTTP API, in bytes.",
    &[],
);
pub(super) static CLIENT_COUNT: Definition = Definition::counter(
    "http_client_completed_count",
    "Requests to the application over HTTP.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static CLIENT_LATENCY: Definition = Definition::latency(
    "http_client_roundtrip_latency",
    "Time until the head of the application's response, in milliseconds.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static CLIENT_SENT_BYTES: Definition = Definition::size(
    "http_client_sent_bytes",
    "Sizes of request bodies to the application, in bytes; 0 for those whose length is not known before their end.",
    REQUEST,
)
.limit(LIMIT);
pub(super) static CLIENT_RECEIVED_BYTES: Definition = Definition::size(
    "http_client_received_bytes",
    "Sizes of response bodies of the application, in bytes.",
    &[],
);
pub(super) static PROBE_COUNT: Definition = Definition::counter(
    "http_healthprobes_completed_count",
    "Health probes of the application over HTTP.",
    STATUS,
);
pub(super) static PROBE_LATENCY: Definition = Definition::latency(
    "http_healthprobes_roundtrip_latency",
    "Time of a health probe of the application over HTTP, in milliseconds.",
    STATUS,
);

/// The families, and what requests resolve to.
#[derive(Debug)]
pub(super) struct Http {
    settings: Settings,
    server: Group<ServerSeries>,
    server_count: Arc<Family<Counter>>,
    server_latency: Arc<Family<Histogram>>,
    server_responses: Option<Arc<Family<Counter>>>,
    server_request_bytes: Arc<Family<Histogram>>,
    server_response_bytes: Arc<Family<Histogram>>,
    client: Group<ClientSeries>,
    client_count: Arc<Family<Counter>>,
    client_latency: Arc<Family<Histogram>>,
    client_sent_bytes: Arc<Family<Histogram>>,
    client_received_bytes: Arc<Family<Histogram>>,
    probe_count: Arc<Family<Counter>>,
    probe_latency: Arc<Family<Histogram>>,
}

#[derive(Debug)]
struct ServerSeries {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
    responses: Option<Arc<Series<Counter>>>,
}

#[derive(Debug)]
struct ClientSeries {
    count: Arc<Series<Counter>>,
    latency: Arc<Series<Histogram>>,
    sent_bytes: Arc<Series<Histogram>>,
}

impl Http {
    pub(super) fn new(making: &mut Making<'_>) -> Self {
        let settings = making.settings();
        Self {
            settings: settings.clone(),
            server: Group::new(LIMIT),
            server_count: making.family(&SERVER_COUNT),
            server_latency: making.family(&SERVER_LATENCY),
            server_responses: settings.each_path.then(|| making.family(&SERVER_RESPONSES)),
            server_request_bytes: making.family(&SERVER_REQUEST_BYTES),
            server_response_bytes: making.family(&SERVER_RESPONSE_BYTES),
            client: Group::new(LIMIT),
            client_count: making.family(&CLIENT_COUNT),
            client_latency: making.family(&CLIENT_LATENCY),
            client_sent_bytes: making.family(&CLIENT_SENT_BYTES),
            client_received_bytes: making.family(&CLIENT_RECEIVED_BYTES),
            probe_count: making.family(&PROBE_COUNT),
            probe_latency: making.family(&PROBE_LATENCY),
        }
    }

    fn verb<'a>(&self, method: &'a Method) -> &'a str {
        if self.settings.without_verbs {
            return "";
        }
        if is_standard(method) {
            method.as_str()
        } else {
            "UNKNOWN"
        }
    }

    fn served(&self, request: &Served<'_>, latency: f64) {
        let status = request.status.as_str();
        with_path(&self.settings, request.path, |path| {
            let labels = [self.verb(request.method), path, status];
            let series = self.server.get(&labels, || ServerSeries {
                count: self.server_count.resolve(&labels),
                latency: self.server_latency.resolve(&labels),
                responses: self
                    .server_responses
                    .as_ref()
                    .map(|family| family.resolve(&labels)),
            });
            series.count.inc();
            series.latency.observe(latency);
            if let Some(responses) = &series.responses {
                responses.inc();
            }
        });
        self.server_request_bytes
            .record(&[], |bytes| bytes.observe(size(request.sizes.request)));
        self.server_response_bytes
            .record(&[], |bytes| bytes.observe(size(request.sizes.response)));
    }

    fn called(&self, request: &Served<'_>, latency: f64) {
        let status = request.status.as_str();
        with_path(&self.settings, request.path, |path| {
            let labels = [self.verb(request.method), path, status];
            let series = self.client.get(&labels, || ClientSeries {
                count: self.client_count.resolve(&labels),
                latency: self.client_latency.resolve(&labels),
                sent_bytes: self.client_sent_bytes.resolve(&labels),
            });
            series.count.inc();
            series.latency.observe(latency);
            series.sent_bytes.observe(size(request.sizes.request));
        });
    }
}

/// A request that was answered, or failed.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// Its verb.
    pub method: &'a Method,
    /// Its path, as it was asked for.
    pub path: &'a str,
    /// The status of the answer; 500 where there was none.
    pub status: StatusCode,
    /// The sizes of both bodies.
    pub sizes: Sizes,
}

/// Requests to the HTTP API.
#[derive(Debug, Clone)]
pub struct HttpServerMetrics(pub(super) Metrics);

impl HttpServerMetrics {
    /// Counts a request that began at `start`.
    pub fn served(&self, request: &Served<'_>, start: Instant) {
        self.0
            .with(|families| families.http.served(request, elapsed_ms(start)));
    }

    /// Counts an error code that the API answers.
    pub fn failed(&self, code: &str) {
        self.0.failed(code);
    }
}

/// Requests to the application over HTTP.
#[derive(Debug, Clone)]
pub struct HttpClientMetrics(pub(super) Metrics);

impl HttpClientMetrics {
    /// Counts a request that began at `start`; what is received, [`Self::received`] counts.
    pub fn called(&self, request: &Served<'_>, start: Instant) {
        self.0
            .with(|families| families.http.called(request, elapsed_ms(start)));
    }

    /// Counts the bytes of an answer.
    pub fn received(&self, bytes: u64) {
        self.0.with(|families| {
            let family = &families.http.client_received_bytes;
            family.record(&[], |sizes| sizes.observe(size(bytes)));
        });
    }

    /// Counts a health probe that began at `start`; 500 stands for no answer.
    pub fn probed(&self, status: StatusCode, start: Instant) {
        self.0.with(|families| {
            let labels = [status.as_str()];
            families.http.probe_count.record(&labels, Counter::inc);
            families
                .http
                .probe_latency
                .record(&labels, |latency| latency.observe(elapsed_ms(start)));
        });
    }
}

/// Hands the label of a path to `then`, without allocating.
fn with_path(settings: &Settings, path: &str, then: impl FnOnce(&str)) {
    thread_local! {
        static LABEL: RefCell<String> = const { RefCell::new(String::new()) };
    }
    LABEL.with(|cell| {
        let mut label = cell.take();
        label.clear();
        settings.label_path(path, &mut label);
        then(&label);
        cell.replace(label);
    });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes up to 2^53 bytes are exact"
)]
pub(super) fn size(bytes: u64) -> f64 {
    bytes as f64
}

fn is_standard(method: &Method) -> bool {
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
