//! Spans on their way out, taken by servers that decode them with OpenTelemetry's own messages.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod receivers;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use trilby_crds::TracingSpec;
use trilby_proto::opentelemetry::trace::v1::span::SpanKind;
use trilby_telemetry::{Exports, Kind, Settings, Stats, Tracing, Variables};

use receivers::{Collector, Zipkin, within};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Tracing of the application `shop`, with exporters that run until the test ends.
struct Traced {
    tracing: Tracing,
    stats: Arc<Stats>,
}

impl Traced {
    fn new(spec: serde_json::Value) -> Self {
        let traced = Self {
            tracing: Tracing::off(),
            stats: Arc::default(),
        };
        traced.install(spec);
        traced
    }

    fn install(&self, spec: serde_json::Value) {
        let variables = Variables::read(|name| match name {
            "OTEL_BSP_SCHEDULE_DELAY" => Some("20".to_owned()),
            "OTEL_BSP_MAX_QUEUE_SIZE" => Some("8".to_owned()),
            _ => None,
        });
        let spec: TracingSpec = serde_json::from_value(spec).unwrap();
        let settings = Settings::new(Some(&spec), &variables).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let exports =
            Exports::new(&settings, ("shop", &variables), (&provider, &self.stats)).unwrap();
        tokio::spawn(exports.install(&self.tracing));
    }

    /// One span that failed, below [`PARENT`].
    fn span(&self, name: &str) {
        let headers = HeaderMap::from_iter([
            (
                trilby_telemetry::TRACEPARENT,
                HeaderValue::from_static(PARENT),
            ),
            (
                trilby_telemetry::TRACESTATE,
                HeaderValue::from_static("a=1"),
            ),
        ]);
        let span = self
            .tracing
            .start_http(&headers, Kind::Client, || name.to_owned());
        let note = span.note().expect("a sampled parent");
        note.set("dapr.protocol", "http");
        note.set("net.peer.name", "b");
        note.set("empty", "");
        note.fail("Code(500): Internal Server Error".to_owned());
    }
}

fn otlp(protocol: &str, address: impl std::fmt::Display) -> serde_json::Value {
    json!({"samplingRate": "1", "otel": {
        "protocol": protocol, "endpointAddress": address.to_string(), "isSecure": false,
        "headers": [{"name": "x-key", "value": "hunter2"}],
    }})
}

#[tokio::test]
async fn a_collector_takes_spans_over_grpc() {
    let collector = Collector::grpc().await;
    let traced = Traced::new(otlp("grpc", collector.address));
    traced.span("CallLocal/b/x");
    let (request, headers) = within(collector.next()).await;
    assert_eq!(headers["x-key"], "hunter2");
    check(&request);
}

#[tokio::test]
async fn a_collector_takes_spans_over_http() {
    let collector = Collector::http().await;
    let traced = Traced::new(otlp("http", collector.address));
    traced.span("CallLocal/b/x");
    let (request, headers) = within(collector.next()).await;
    assert_eq!(headers["x-key"], "hunter2");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-path"], "/v1/traces");
    check(&request);
}

fn check(request: &receivers::Request) {
    let [resource_spans] = request.resource_spans.as_slice() else {
        panic!("{request:?}")
    };
    let resource = &resource_spans.resource.as_ref().unwrap().attributes[0];
    assert_eq!(
        (resource.key.as_str(), receivers::text(resource)),
        ("service.name", "shop")
    );
    let scope_spans = &resource_spans.scope_spans[0];
    assert_eq!(scope_spans.scope.as_ref().unwrap().name, "dapr-diagnostics");
    let span = &scope_spans.spans[0];
    assert_eq!(
        (span.name.as_str(), span.kind()),
        ("CallLocal/b/x", SpanKind::Client)
    );
    assert_eq!(span.trace_id[..2], [0x4b, 0xf9]);
    assert_eq!(
        span.parent_span_id[..],
        [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7]
    );
    assert_eq!(
        (span.span_id.len(), span.trace_state.as_str(), span.flags),
        (8, "a=1", 0x301)
    );
    assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
    let attributes: Vec<_> = span
        .attributes
        .iter()
        .map(|pair| (pair.key.as_str(), receivers::text(pair)))
        .collect();
    assert_eq!(
        attributes,
        [("dapr.protocol", "http"), ("net.peer.name", "b")]
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!(
        (status.code, status.message.as_str()),
        (2, "Code(500): Internal Server Error")
    );
}

#[tokio::test]
async fn zipkin_takes_spans() {
    let zipkin = Zipkin::start().await;
    let address = format!("http://{}/api/v2/spans", zipkin.address);
    let traced = Traced::new(json!({"samplingRate": "1", "zipkin": {"endpointAddress": address}}));
    traced.span("CallLocal/B/x");
    let spans = within(zipkin.next()).await;
    let span = &spans[0];
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["parentId"], "00f067aa0ba902b7");
    assert_eq!(
        (&span["name"], &span["kind"]),
        (&json!("calllocal/b/x"), &json!("CLIENT"))
    );
    assert_eq!(span["localEndpoint"], json!({"serviceName": "shop"}));
    assert_eq!(span["remoteEndpoint"], json!({"serviceName": "b"}));
    assert_eq!(
        span["tags"],
        json!({
            "dapr.protocol": "http", "net.peer.name": "b", "service.name": "shop",
            "otel.status_code": "ERROR", "error": "Code(500): Internal Server Error",
            "otel.scope.name": "dapr-diagnostics",
        })
    );
    assert!(span["timestamp"].as_u64().unwrap() > 1_700_000_000_000_000);
    assert!(span["duration"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn a_collector_that_is_away_gets_the_spans_when_it_comes() {
    let late = Collector::reserve().await;
    let traced = Traced::new(otlp("grpc", late.address()));
    traced.span("kept");
    let collector = late.start();
    let (request, _) = within(collector.next()).await;
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "kept"
    );
    within(async {
        while traced.stats.exported() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(traced.stats.dropped(), 0);
}

#[tokio::test]
async fn a_full_queue_drops_spans_counts_them_and_holds_up_nobody() {
    let away = Collector::reserve().await;
    let traced = Traced::new(otlp("grpc", away.address()));
    // Nothing else runs meanwhile: the queue of eight takes eight.
    for _ in 0..20 {
        traced.span("x");
    }
    assert_eq!(traced.stats.dropped(), 12);
}

#[tokio::test]
async fn a_changed_configuration_sends_new_spans_elsewhere_and_loses_none() {
    let (before, after) = (Collector::grpc().await, Collector::http().await);
    let traced = Traced::new(otlp("grpc", before.address));
    traced.span("before");
    traced.install(otlp("http", after.address));
    traced.span("after");
    let (one, _) = within(before.next()).await;
    let (other, _) = within(after.next()).await;
    assert_eq!(one.resource_spans[0].scope_spans[0].spans[0].name, "before");
    assert_eq!(
        other.resource_spans[0].scope_spans[0].spans[0].name,
        "after"
    );
}

#[tokio::test]
async fn a_refused_batch_is_lost_and_the_next_one_is_not() {
    let collector = Collector::http().await;
    collector.refuse_next();
    let traced = Traced::new(otlp("http", collector.address));
    traced.span("refused");
    within(async {
        while traced.stats.dropped() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    traced.span("taken");
    let (request, _) = within(collector.next()).await;
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "taken"
    );
}

#[tokio::test]
async fn tls_trusts_the_given_anchors_only() {
    let (collector, anchors) = Collector::tls().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), anchors).unwrap();
    let variables = Variables::read(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => {
            Some(format!("https://127.0.0.1:{}", collector.address.port()))
        }
        "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some(file.path().display().to_string()),
        "OTEL_BSP_SCHEDULE_DELAY" => Some("20".to_owned()),
        _ => None,
    });
    let traced = Traced {
        tracing: Tracing::off(),
        stats: Arc::default(),
    };
    let settings = Settings::new(None, &variables).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let exports =
        Exports::new(&settings, ("shop", &variables), (&provider, &traced.stats)).unwrap();
    tokio::spawn(exports.install(&traced.tracing));
    traced.span("secret");
    let (request, _) = within(collector.next()).await;
    assert_eq!(
        request.resource_spans[0].scope_spans[0].spans[0].name,
        "secret"
    );
}

#[tokio::test]
async fn without_exporters_the_callers_context_passes_and_none_is_made_up() {
    let traced = Traced::new(json!({}));
    let mut headers = HeaderMap::from_iter([(
        trilby_telemetry::TRACEPARENT,
        HeaderValue::from_static(PARENT),
    )]);
    let span = traced
        .tracing
        .start_http(&headers, Kind::Client, || unreachable!());
    span.handle().to_http(&mut headers);
    assert_eq!(headers[trilby_telemetry::TRACEPARENT], PARENT);
    let mut headers = HeaderMap::new();
    let span = traced
        .tracing
        .start_http(&headers, Kind::Client, || unreachable!());
    span.handle().to_http(&mut headers);
    let none = "00-00000000000000000000000000000000-0000000000000000-00";
    assert_eq!(headers[trilby_telemetry::TRACEPARENT], none);
}

#[tokio::test]
async fn a_rate_of_zero_touches_nothing() {
    let traced = Traced::new(json!({"samplingRate": "0", "stdout": true}));
    let mut headers = HeaderMap::new();
    let span = traced
        .tracing
        .start_http(&headers, Kind::Client, || unreachable!());
    span.handle().to_grpc(&mut headers);
    span.handle().to_grpc_answer(&mut headers);
    span.handle().to_http_answer(&mut headers);
    assert!(headers.is_empty() && !traced.tracing.is_on());
}

#[tokio::test]
async fn a_rate_without_an_exporter_makes_contexts_that_nobody_records() {
    let traced = Traced::new(json!({"samplingRate": "1"}));
    let mut headers = HeaderMap::new();
    let span = traced
        .tracing
        .start_grpc(&headers, Kind::Server, || unreachable!());
    span.handle().to_grpc(&mut headers);
    let context = trilby_telemetry::SpanContext::from_text(&headers[trilby_telemetry::TRACEPARENT]);
    assert!(context.unwrap().is_sampled() && span.note().is_none());
    assert_eq!(
        trilby_telemetry::SpanContext::from_binary(&headers[trilby_telemetry::TRACE_BIN]),
        context
    );
}
