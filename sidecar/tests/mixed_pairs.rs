//! Our sidecar and upstream's, each as the caller of the other, with mutual TLS: the protocol between them is the contract.
//!
//! Upstream's `daprd` is no part of this repository, so these tests run by command only, which `CONTRIBUTING.md` lists:
//!
//! ```sh
//! TRILBY_UPSTREAM_DAPRD=/path/to/daprd cargo test -p trilby-sidecar --test mixed_pairs -- --ignored
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

#[path = "in_process/app.rs"]
mod app;
#[path = "in_process/grpc_app.rs"]
mod grpc_app;
#[allow(dead_code, reason = "also serves tests that need more of it")]
#[path = "in_process/grpc_echo.rs"]
mod grpc_echo;
#[allow(dead_code, reason = "also serves tests that need more of it")]
#[path = "in_process/sentry.rs"]
mod sentry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use prost_types::Any;
use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest};
use trilby_proto::runtime::v1::InvokeServiceRequest;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

use grpc_echo::{Call, Next, channel, message};
use sentry::Sentry;

/// Which of the two calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Caller {
    Ours,
    Upstreams,
}

const BOTH: [Caller; 2] = [Caller::Ours, Caller::Upstreams];

/// A caller without an application, and a callee with one.
struct Pair {
    caller: Daprd,
    _callee: Daprd,
    _sentry: Sentry,
}

async fn pair(caller: Caller, app: SocketAddr, protocol: &str) -> Pair {
    let sentry = Sentry::start().await;
    let upstreams = std::env::var_os("TRILBY_UPSTREAM_DAPRD").map(PathBuf::from);
    let upstreams = upstreams.expect("TRILBY_UPSTREAM_DAPRD names upstream's daprd");
    let of = |who: Caller, daprd: Daprd| {
        if who == caller {
            daprd
        } else {
            daprd.binary(upstreams.clone())
        }
    };
    let callee = of(
        Caller::Upstreams,
        with_identity(Daprd::new("callee"), &sentry),
    );
    let mut callee = callee.app_port(app.port()).arg("--app-protocol", protocol);
    callee.start().await;
    let caller = of(Caller::Ours, with_identity(Daprd::new("caller"), &sentry));
    let fixed = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: fixed\nspec:\n  nameResolution:\n    \
         component: kubernetes\n    version: v1\n    configuration:\n      template: \"{}\"\n",
        callee.internal_address()
    );
    let file = caller.file("configuration.yaml", &fixed);
    let mut caller = caller.arg("--config", file.display());
    caller.start().await;
    Pair {
        caller,
        _callee: callee,
        _sentry: sentry,
    }
}

fn with_identity(daprd: Daprd, sentry: &Sentry) -> Daprd {
    daprd
        .raw_arg("--enable-mtls")
        .arg("--sentry-address", sentry.address())
        .arg("--control-plane-trust-domain", sentry::TRUST_DOMAIN)
        .arg("--control-plane-namespace", sentry::NAMESPACE)
        .env("DAPR_TRUST_ANCHORS", sentry.anchors())
        .env("NAMESPACE", "default")
}

impl Pair {
    async fn call(&self, request: http::request::Builder, path: &str, body: &str) -> Response {
        let url = self
            .caller
            .url(&format!("/v1.0/invoke/callee/method/{path}"));
        let request = request
            .uri(url)
            .body(Bytes::copy_from_slice(body.as_bytes()));
        Client::host().request(request.unwrap()).await.unwrap()
    }

    async fn message(&self, method: &str) -> Result<(http::HeaderMap, Any), tonic::Status> {
        let request = InvokeServiceRequest {
            id: "callee".to_owned(),
            message: Some(InvokeRequest {
                method: method.to_owned(),
                data: Some(Any {
                    type_url: String::new(),
                    value: b"hello".to_vec(),
                }),
                content_type: "text/plain".to_owned(),
                http_extension: Some(HttpExtension {
                    verb: Verb::Post as i32,
                    querystring: "q=1".to_owned(),
                }),
            }),
        };
        let mut dapr = DaprClient::new(channel(self.caller.grpc_address()));
        let (metadata, message, _) = dapr.invoke_service(request).await?.into_parts();
        Ok((metadata.into_headers(), message.data.unwrap_or_default()))
    }
}

#[tokio::test]
#[ignore = "needs upstream's daprd"]
async fn http_requests_and_answers_pass_whole() {
    for caller in BOTH {
        let pair = pair(caller, app::start().await, "http").await;
        let request = Request::post("/")
            .header("content-type", "application/json")
            .header("x-custom", "1")
            .header("connection", "x-hop")
            .header("x-hop", "1");
        let response = pair.call(request, "orders//1?q=x%20y", "{}").await;
        assert_eq!(
            response.status,
            StatusCode::OK,
            "{caller:?}: {}",
            response.text()
        );
        assert_eq!(response.headers["x-app"], "yes");
        let seen = response.json();
        assert_eq!(seen["path"], "/orders/1", "{caller:?}");
        assert_eq!(seen["query"], "q=x%20y");
        assert_eq!(seen["body"], "{}");
        let headers = &seen["headers"];
        assert_eq!(
            headers["dapr-caller-app-id"],
            json!(["caller"]),
            "{caller:?}"
        );
        assert_eq!(headers["dapr-caller-namespace"], json!(["default"]));
        assert_eq!(headers["dapr-callee-app-id"], json!(["callee"]));
        assert_eq!(headers["content-type"], json!(["application/json"]));
        assert_eq!(headers["content-length"], json!(["2"]));
        assert_eq!(headers["x-custom"], json!(["1"]));
        assert_eq!(headers.get("x-hop"), None);
        for code in [204, 302, 404, 418, 503] {
            let answer = pair
                .call(Request::get("/"), &format!("status/{code}"), "")
                .await;
            assert_eq!(answer.status.as_u16(), code, "{caller:?}");
            assert_eq!(answer.headers["x-app"], "yes");
        }
        let large = "0123456789".repeat(100_000);
        let seen: Value = pair.call(Request::post("/"), "large", &large).await.json();
        assert_eq!(
            seen["body"].as_str().unwrap().len(),
            large.len(),
            "{caller:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs upstream's daprd"]
async fn http_streams_flow_both_ways() {
    for caller in BOTH {
        let pair = pair(caller, app::start().await, "http").await;
        let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
        let client: hyper_util::client::legacy::Client<_, Body> =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http();
        let url = pair.caller.url("/v1.0/invoke/callee/method/stream");
        // Upstream's caller reads the whole request before it waits for an answer.
        send.send(Ok("one".into())).await.unwrap();
        drop(send);
        let request = Request::post(url).body(body).unwrap();
        let exchange = async {
            let answer = client.request(request).await.unwrap().into_body();
            answer
                .into_data_stream()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .await
                .concat()
        };
        let echoed = tokio::time::timeout(Duration::from_secs(20), exchange).await;
        assert_eq!(echoed.expect("answered in time"), b"one", "{caller:?}");
    }
}

#[tokio::test]
#[ignore = "needs upstream's daprd"]
async fn messages_reach_http_and_errors_are_mapped() {
    for caller in BOTH {
        let pair = pair(caller, app::start().await, "http").await;
        let (metadata, data) = pair.message("orders").await.unwrap();
        assert_eq!(metadata["dapr-http-status"], "200", "{caller:?}");
        let seen: Value = serde_json::from_slice(&data.value).unwrap();
        assert_eq!(seen["body"], "hello");
        assert_eq!(seen["query"], "q=1");
        let status = pair.message("status/404").await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::NotFound, "Not Found"),
            "{caller:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs upstream's daprd"]
async fn grpc_applications_are_reached_from_http_and_by_message() {
    for caller in BOTH {
        let pair = pair(caller, grpc_app::start().await, "grpc").await;
        let greeted = pair.call(Request::post("/"), "greet", "hi").await;
        assert_eq!(greeted.text(), "caller called greet with hi", "{caller:?}");
        let refused = pair.call(Request::post("/"), "refuse", "").await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{caller:?}");
        assert_eq!(
            refused.json(),
            json!({ "code": 6, "message": "here already" })
        );
        let (_, data) = pair.message("greet").await.unwrap();
        assert_eq!(data.value, b"caller called greet with hello", "{caller:?}");
        let status = pair.message("refuse").await.unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists, "{caller:?}: {status}");
    }
}

#[tokio::test]
#[ignore = "needs upstream's daprd"]
async fn unknown_services_are_passed_on() {
    for caller in BOTH {
        let echo = grpc_echo::start().await;
        let pair = pair(caller, echo.address, "grpc").await;
        let client = channel(pair.caller.grpc_address());
        // Upstream's caller answers nothing, not even a head, before the first message.
        let mut call = Call::open_with(client.clone(), ("callee", "Echo"), &[b"one"]).await;
        assert_eq!(call.next().await, Next::Data(message(b"one")), "{caller:?}");
        call.send.send(Ok(message(b"two"))).await.unwrap();
        assert_eq!(call.next().await, Next::Data(message(b"two")), "{caller:?}");
        call.finish();
        let Next::Trailers(trailers) = call.next().await else {
            panic!("{caller:?}: trailers come last");
        };
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-trailer"], "passed", "{caller:?}");
        let mut refused = Call::open_with(client, ("callee", "Refuse"), &[b"x"]).await;
        assert_eq!(
            refused.status().await,
            ("9".to_owned(), "not now".to_owned()),
            "{caller:?}"
        );
    }
}
