//! One trace over two sidecars and their applications, and what clients see of it.

use std::path::Path;

use http::{Request as HttpRequest, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Request};
use trilby_proto::common::v1::InvokeRequest;
use trilby_proto::opentelemetry::trace::v1::Span;
use trilby_proto::opentelemetry::trace::v1::span::SpanKind;
use trilby_proto::runtime::v1::app_callback_health_check_client::AppCallbackHealthCheckClient;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetStateRequest, InvokeServiceRequest};
use trilby_telemetry::{SpanContext, TRACE_BIN, Variables};
use trilby_testkit::assert_eventually;

use crate::collector::{Collector, attribute};
use crate::invocation_grpc::channel;
use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};
use crate::{app, grpc_app};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PARENT_ID: &[u8] = &[0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7];
const TRACE_ID: &[u8] = &[
    0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36,
];
const NONE: &str = "00-00000000000000000000000000000000-0000000000000000-00";

fn configuration(folder: &Path, rate: &str, collector: Option<&Collector>) -> String {
    let mut tracing = json!({ "samplingRate": rate });
    if let Some(collector) = collector {
        tracing["otel"] = json!({
            "endpointAddress": collector.address.to_string(), "protocol": "grpc", "isSecure": false,
        });
    }
    let text = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "c"},
        "spec": {"tracing": tracing},
    });
    let path = folder.join("config.yaml");
    // Moved into place, so that nobody reads half of it.
    let new = folder.join("config.new");
    std::fs::write(&new, text.to_string()).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path.display().to_string()
}

/// Settings of a sidecar whose spans leave at once.
fn traced<'a>(app_id: &'a str, config: &str) -> Settings<'a> {
    let hasty = |name: &str| (name == "OTEL_BSP_SCHEDULE_DELAY").then(|| "20".to_owned());
    Settings::new(app_id)
        .flags(&[&format!("--config={config}")])
        .environment(|environment| environment.tracing = Variables::read(hasty))
}

/// `a` has no application; `web` speaks HTTP, `rpc` speaks gRPC. Every trace is recorded.
struct Mesh {
    a: Sidecar,
    collector: Collector,
    _others: [Sidecar; 2],
    _folder: tempfile::TempDir,
}

async fn mesh() -> Mesh {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), "1", Some(&collector));
    let web = traced("web", &config)
        .app(app::start().await)
        .sentry(&sentry);
    let rpc = traced("rpc", &config)
        .app(grpc_app::start().await)
        .sentry(&sentry);
    let rpc = rpc.flags(&["--app-protocol=grpc"]);
    let others = [
        Sidecar::start(web, &directory).await,
        Sidecar::start(rpc, &directory).await,
    ];
    Mesh {
        a: Sidecar::start(traced("a", &config).sentry(&sentry), &directory).await,
        collector,
        _others: others,
        _folder: folder,
    }
}

fn invocation(id: &str, method: &str) -> Request<InvokeServiceRequest> {
    let message = Some(InvokeRequest {
        method: method.to_owned(),
        http_extension: Some(trilby_proto::common::v1::HttpExtension {
            verb: trilby_proto::common::v1::http_extension::Verb::Get as i32,
            querystring: String::new(),
        }),
        ..InvokeRequest::default()
    });
    let mut request = Request::new(InvokeServiceRequest {
        id: id.to_owned(),
        message,
    });
    request
        .metadata_mut()
        .insert("traceparent", PARENT.parse().unwrap());
    request
}

/// Checks that `caller` and `callee` are two links of [`PARENT`]'s trace, and that `seen` continues it.
fn check_chain(caller: &Span, callee: &Span, seen: SpanContext) {
    assert_eq!(
        (caller.kind(), callee.kind()),
        (SpanKind::Client, SpanKind::Server)
    );
    assert_eq!(
        (&caller.trace_id[..], &callee.trace_id[..]),
        (TRACE_ID, TRACE_ID)
    );
    assert_eq!(&caller.parent_span_id[..], PARENT_ID);
    assert_eq!(callee.parent_span_id, caller.span_id);
    assert_eq!(
        (&seen.trace_id[..], &seen.span_id[..]),
        (TRACE_ID, &callee.span_id[..])
    );
}

fn context(headers: &Value) -> SpanContext {
    let text = headers["traceparent"][0].as_str().unwrap();
    SpanContext::from_text(&text.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn one_trace_leads_over_http_through_both_sidecars_to_the_application() {
    let mesh = mesh().await;
    let request = HttpRequest::get(mesh.a.url("/v1.0/invoke/web/method/orders/1?q=1"))
        .header("traceparent", PARENT)
        .header("tracestate", "vendor=1")
        .header("dapr-custom", "mine");
    let response = mesh.a.request(request, "").await;
    let headers = &response.json()["headers"];
    let caller = mesh.collector.span("a", "CallLocal/web/orders/1").await;
    let callee = mesh.collector.span("web", "CallLocal/web/orders/1").await;
    check_chain(&caller, &callee, context(headers));
    assert_eq!(headers["tracestate"], json!(["vendor=1"]));
    assert_eq!(headers.get("grpc-trace-bin"), None);
    let told = SpanContext::from_text(&response.headers["traceparent"]).unwrap();
    assert_eq!(&told.span_id[..], &caller.span_id[..]);
    for (name, value) in [
        ("dapr.protocol", "http"),
        ("dapr.api", "GET /v1.0/invoke/web/method/orders/1"),
        ("dapr.status_code", "200"),
        ("http.request.method", "GET"),
        ("url.full", "/v1.0/invoke/web/method/orders/1?q=1"),
        ("server.address", "127.0.0.1"),
        ("rpc.service", "ServiceInvocation"),
        ("net.peer.name", "web"),
        ("dapr-custom", "mine"),
    ] {
        assert_eq!(attribute(&caller.attributes, name), value, "{name}");
    }
    for (name, value) in [
        ("dapr.protocol", "grpc"),
        (
            "dapr.api",
            "/dapr.proto.internals.v1.ServiceInvocation/CallLocalStream",
        ),
        ("dapr.invoke_method", "orders/1"),
    ] {
        assert_eq!(attribute(&callee.attributes, name), value, "{name}");
    }
}

#[tokio::test]
async fn one_trace_leads_over_grpc_through_both_sidecars_to_either_kind_of_application() {
    let mesh = mesh().await;
    let mut client = DaprClient::new(channel(mesh.a.grpc));
    let answer = client.invoke_service(invocation("web", "x")).await.unwrap();
    assert!(!answer.metadata().contains_key("grpc-trace-bin"));
    let seen: Value = serde_json::from_slice(&answer.into_inner().data.unwrap().value).unwrap();
    let caller = mesh.collector.span("a", "CallLocal/web/x").await;
    let callee = mesh.collector.span("web", "CallLocal/web/x").await;
    check_chain(&caller, &callee, context(&seen["headers"]));
    assert_eq!(attribute(&caller.attributes, "net.peer.name"), "web");

    let answer = client
        .invoke_service(invocation("rpc", "context"))
        .await
        .unwrap();
    let seen: Value = serde_json::from_slice(&answer.into_inner().data.unwrap().value).unwrap();
    let caller = mesh.collector.span("a", "CallLocal/rpc/context").await;
    let callee = mesh.collector.span("rpc", "CallLocal/rpc/context").await;
    let text = SpanContext::from_text(&seen["traceparent"].as_str().unwrap().parse().unwrap());
    let binary =
        SpanContext::from_binary(&seen["grpc-trace-bin"].as_str().unwrap().parse().unwrap());
    assert_eq!(text, binary);
    check_chain(&caller, &callee, text.unwrap());
}

#[tokio::test]
async fn calls_that_pass_through_are_spans_of_their_own_method() {
    let mesh = mesh().await;
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("dapr-app-id", "rpc".parse().unwrap());
    request
        .metadata_mut()
        .insert("traceparent", PARENT.parse().unwrap());
    let mut client = AppCallbackHealthCheckClient::new(channel(mesh.a.grpc));
    client.health_check(request).await.unwrap();
    let method = "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck";
    let caller = mesh.collector.span("a", method).await;
    let callee = mesh.collector.span("rpc", method).await;
    assert_eq!(
        (caller.kind(), callee.kind()),
        (SpanKind::Client, SpanKind::Server)
    );
    assert_eq!(&caller.parent_span_id[..], PARENT_ID);
    assert_eq!(callee.parent_span_id, caller.span_id);
    assert_eq!(attribute(&caller.attributes, "dapr-app-id"), "rpc");
}

#[tokio::test]
async fn failures_and_stores_are_told_in_spans() {
    let mesh = mesh().await;
    mesh.a.get("/v1.0/state/none/k").await;
    let span = mesh.collector.span("a", "/v1.0/state/none/k").await;
    let status = span.status.unwrap();
    assert_eq!(
        (status.code, status.message.as_str()),
        (2, "Code(500): Internal Server Error")
    );
    assert_eq!(attribute(&span.attributes, "db.name"), "none");
    assert_eq!(
        attribute(&span.attributes, "db.statement"),
        "GET /v1.0/state/none/k"
    );

    let get = GetStateRequest {
        store_name: "none".to_owned(),
        key: "k".to_owned(),
        ..GetStateRequest::default()
    };
    let mut client = DaprClient::new(channel(mesh.a.grpc));
    let refused = client.get_state(get).await.unwrap_err();
    assert!(refused.metadata().get_bin("grpc-trace-bin").is_some());
    let span = mesh
        .collector
        .span("a", "/dapr.proto.runtime.v1.Dapr/GetState")
        .await;
    let status = span.status.unwrap();
    assert_eq!(
        (status.code, status.message.as_str()),
        (2, refused.message())
    );
    assert_eq!(attribute(&span.attributes, "db.system"), "state");
    // Probes are not traced.
    mesh.a.get("/v1.0/healthz").await;
    mesh.a.get("/v1.0/metadata").await;
    mesh.collector.span("a", "/v1.0/metadata").await;
    assert_eq!(mesh.collector.count(), 3);
}

#[tokio::test]
async fn baggage_is_checked_echoed_and_forwarded() {
    let mesh = mesh().await;
    let url = mesh.a.url("/v1.0/invoke/web/method/x");
    let request = HttpRequest::get(&url)
        .header("baggage", "a=%20b")
        .header("baggage", "c=d");
    let response = mesh.a.request(request, "").await;
    assert_eq!(response.headers["baggage"], "a=%20b,c=d");
    assert_eq!(response.json()["headers"]["baggage"], json!(["a=%20b,c=d"]));
    let refused = mesh
        .a
        .request(HttpRequest::get(&url).header("baggage", "bad"), "")
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.text(),
        "invalid baggage header: invalid baggage list-member: \"bad\"\n"
    );

    let mut client = DaprClient::new(channel(mesh.a.grpc));
    let mut request = invocation("rpc", "context");
    request
        .metadata_mut()
        .insert("baggage", "a=1,b=2".parse().unwrap());
    let answer = client.invoke_service(request).await.unwrap();
    assert_eq!(answer.metadata().get("baggage").unwrap(), "a=1,b=2");
    let seen: Value = serde_json::from_slice(&answer.into_inner().data.unwrap().value).unwrap();
    assert_eq!(seen["baggage"], "a=1,b=2");
    let mut request = invocation("rpc", "context");
    request
        .metadata_mut()
        .insert("baggage", "=".parse().unwrap());
    let refused = client.invoke_service(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "invalid baggage header: invalid key: \"\""
    );
}

#[tokio::test]
async fn without_a_configuration_the_callers_context_passes_or_an_empty_one() {
    let directory = Directory::default();
    let a = Sidecar::start(Settings::new("a").app(app::start().await), &directory).await;
    let url = a.url("/v1.0/invoke/a/method/x");
    let response = a
        .request(HttpRequest::get(&url).header("traceparent", PARENT), "")
        .await;
    assert_eq!(response.headers["traceparent"], PARENT);
    assert_eq!(response.json()["headers"]["traceparent"], json!([PARENT]));
    let response = a.request(HttpRequest::get(&url), "").await;
    assert_eq!(response.headers["traceparent"], NONE);
    assert_eq!(response.json()["headers"]["traceparent"], json!([NONE]));
    let mut client = DaprClient::new(channel(a.grpc));
    let answer = client
        .get_metadata(trilby_proto::runtime::v1::GetMetadataRequest {})
        .await
        .unwrap();
    let told = answer.metadata().as_ref().get(TRACE_BIN).unwrap();
    assert_eq!(told, &SpanContext::NONE.to_binary());
}

#[tokio::test]
async fn tracing_is_switched_on_while_requests_run() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path(), "0", None);
    let settings = traced("a", &config).app(app::start().await);
    let a = Sidecar::start(settings, &Directory::default()).await;
    let response = a.get("/v1.0/invoke/a/method/x").await;
    assert!(!response.headers.contains_key("traceparent"));
    configuration(folder.path(), "1", Some(&collector));
    assert_eventually!({
        a.get("/v1.0/invoke/a/method/x").await;
        collector.count() > 0
    });
    // What cannot work is refused, and the old settings go on.
    let broken = std::fs::read_to_string(&config)
        .unwrap()
        .replace("\"grpc\"", "\"udp\"");
    std::fs::write(folder.path().join("config.new"), broken).unwrap();
    std::fs::rename(folder.path().join("config.new"), &config).unwrap();
    assert!(
        a.get("/v1.0/invoke/a/method/x")
            .await
            .headers
            .contains_key("traceparent")
    );
}
