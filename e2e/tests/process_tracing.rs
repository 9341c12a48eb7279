//! Traces as those see them who collect them: a real OpenTelemetry Collector, and a real Zipkin.

use serde_json::Value;
use trilby_e2e::sidecars::Sidecars;
use trilby_testkit::eventually::{eventually, unexpected};
use trilby_testkit::http::Client;
use trilby_testkit::servers::collector::{Collector, Span};
use trilby_testkit::servers::zipkin::Zipkin;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Starts two sidecars with these settings of `spec.tracing`, and has one call the other within [`TRACE`].
async fn call(tracing: &str) -> Sidecars {
    let setting = format!("tracing: {{samplingRate: '1', {tracing}}}");
    let sidecars = Sidecars::start(&[setting]).await;
    let mut sidecars = sidecars.expect("the sidecars start");
    sidecars.caller.healthy().await;
    let url = sidecars.caller.url("/v1.0/invoke/callee/method/orders/7");
    let request = http::Request::post(url)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(bytes::Bytes::from_static(b"{}"))
        .expect("it is a request");
    let answer = Client::host().request(request).await;
    let answer = answer.and_then(trilby_testkit::http::Response::success);
    assert_eq!(
        answer.expect("the callee answers").text(),
        "POST /orders/7 {}"
    );
    sidecars
}

fn find<'a>(spans: &'a [Span], service: &str, kind: &str) -> Option<&'a Span> {
    spans
        .iter()
        .find(|span| (span.trace.as_str(), &*span.service, &*span.kind) == (TRACE, service, kind))
}

/// Waits for the two links of the trace, and checks that they are linked.
async fn the_trace_is_complete_in(collector: &Collector) {
    let (caller, callee) = eventually("both spans are there", async || {
        let spans = collector.spans();
        let caller = find(&spans, "caller", "Client");
        let callee = find(&spans, "callee", "Server");
        match (caller, callee) {
            (Some(caller), Some(callee)) => Ok((caller.clone(), callee.clone())),
            _ => Err(unexpected(spans)),
        }
    })
    .await;
    assert_eq!(caller.parent, PARENT);
    assert_eq!(callee.parent, caller.id);
    assert_eq!(caller.name, "CallLocal/callee/orders/7");
}

#[tokio::test]
async fn a_collector_gets_spans_over_grpc() {
    let collector = Collector::start().await;
    let otel = format!(
        "otel: {{protocol: grpc, isSecure: false, endpointAddress: '{}'}}",
        collector.grpc_address()
    );
    let _sidecars = call(&otel).await;
    the_trace_is_complete_in(&collector).await;
}

#[tokio::test]
async fn a_collector_gets_spans_over_http() {
    let collector = Collector::start().await;
    let otel = format!(
        "otel: {{protocol: http, isSecure: false, endpointAddress: '{}'}}",
        collector.http_address()
    );
    let _sidecars = call(&otel).await;
    the_trace_is_complete_in(&collector).await;
}

#[tokio::test]
async fn zipkin_gets_spans() {
    let zipkin = Zipkin::start().await;
    let endpoint = format!(
        "zipkin: {{endpointAddress: 'http://{}/api/v2/spans'}}",
        zipkin.address()
    );
    let _sidecars = call(&endpoint).await;
    let of = |spans: &[Value], service: &str| {
        let mut spans = spans.iter();
        let span = spans.find(|span| span["localEndpoint"]["serviceName"] == service);
        span.cloned()
    };
    let (caller, callee) = eventually("both spans are there", async || {
        let spans = zipkin.trace(TRACE).await?;
        let (caller, callee) = (of(&spans, "caller"), of(&spans, "callee"));
        caller.zip(callee).ok_or_else(|| unexpected(spans))
    })
    .await;
    assert_eq!(caller["parentId"], PARENT);
    assert_eq!(caller["kind"], "CLIENT");
    assert_eq!(callee["parentId"], caller["id"]);
    assert_eq!(callee["kind"], "SERVER");
    assert_eq!(caller["name"], "calllocal/callee/orders/7");
}
