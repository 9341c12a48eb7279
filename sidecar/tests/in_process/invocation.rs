//! Service invocation over HTTP.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::app;
use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};

/// Two sidecars with mutual TLS, each with an application.
async fn pair() -> (Sidecar, Sidecar, Directory) {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let a = Sidecar::start(
        Settings::new("a").app(app::start().await).sentry(&sentry),
        &directory,
    )
    .await;
    let b = Sidecar::start(
        Settings::new("b").app(app::start().await).sentry(&sentry),
        &directory,
    )
    .await;
    (a, b, directory)
}

#[tokio::test]
async fn call_reaches_the_other_application_with_both_identities() {
    let (a, _b, _) = pair().await;
    let request = Request::post(a.url("/v1.0/invoke/b/method/orders/1?q=x%20y"))
        .header("content-type", "application/json")
        .header("x-custom", "1")
        .header("Dapr-Caller-App-Id", "forged")
        .header("connection", "x-secret")
        .header("x-secret", "1");
    let response = a.request(request, "{}").await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["x-app"], "yes");
    let seen = response.json();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["path"], "/orders/1");
    assert_eq!(seen["query"], "q=x%20y");
    assert_eq!(seen["body"], "{}");
    let headers = &seen["headers"];
    assert_eq!(headers["dapr-caller-app-id"], json!(["a"]));
    assert_eq!(headers["dapr-caller-namespace"], json!(["default"]));
    assert_eq!(headers["dapr-callee-app-id"], json!(["b"]));
    assert_eq!(headers["content-type"], json!(["application/json"]));
    assert_eq!(headers["content-length"], json!(["2"]));
    assert_eq!(headers["x-custom"], json!(["1"]));
    assert_eq!(headers.get("x-secret"), None);
    assert_eq!(headers.get("destination-app-id"), None);
    assert!(headers.get("forwarded").is_some());
}

#[tokio::test]
async fn header_names_the_target_and_the_path_is_the_method() {
    let (a, _b, _) = pair().await;
    let response = a
        .request(
            Request::get(a.url("/orders/1")).header("dapr-app-id", "b"),
            "",
        )
        .await;
    let seen = response.json();
    assert_eq!(seen["path"], "/orders/1");
    assert_eq!(seen["headers"].get("dapr-app-id"), None);
}

#[tokio::test]
async fn application_may_call_itself() {
    let (a, _b, _) = pair().await;
    let seen = a.get("/v1.0/invoke/a/method/self").await.json();
    assert_eq!(seen["path"], "/self");
    assert_eq!(seen["headers"]["dapr-caller-app-id"], json!(["a"]));
    assert_eq!(seen["headers"].get("forwarded"), None);
}

#[tokio::test]
async fn status_body_and_type_of_the_application_pass_unchanged() {
    let (a, _b, _) = pair().await;
    for code in [204, 302, 404, 418, 503] {
        let response = a.get(&format!("/v1.0/invoke/b/method/status/{code}")).await;
        assert_eq!(response.status.as_u16(), code);
        assert_eq!(response.headers["x-app"], "yes");
        if code != 204 {
            assert_eq!(response.text(), format!("status {code}"));
            assert_eq!(response.headers["content-type"], "text/plain");
        }
    }
}

#[tokio::test]
async fn streams_flow_both_ways_while_both_are_open() {
    let (a, _b, _) = pair().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
    let client: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let exchange = async {
        send.send(Ok("one".into())).await.unwrap();
        let request = Request::post(a.url("/v1.0/invoke/b/method/stream"))
            .body(body)
            .unwrap();
        let mut pieces = client
            .request(request)
            .await
            .unwrap()
            .into_body()
            .into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "one");
        send.send(Ok("two".into())).await.unwrap();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "two");
        drop(send);
        assert!(pieces.next().await.is_none());
    };
    tokio::time::timeout(Duration::from_secs(10), exchange)
        .await
        .unwrap();
}

#[tokio::test]
async fn client_that_accepts_events_only_gets_events() {
    let (a, b, _) = pair().await;
    let ask = |sidecar: &Sidecar, path: &str| {
        Request::get(sidecar.url(path)).header("accept", "text/event-stream")
    };
    let events = a
        .request(ask(&a, "/v1.0/invoke/b/method/status/200"), "")
        .await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert_eq!(events.headers["cache-control"], "no-cache");
    let none = a
        .request(ask(&a, "/v1.0/invoke/b/method/status/404"), "")
        .await;
    assert_eq!(none.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        none.json()["message"],
        "failed to invoke, id: b, err: rpc error: code = Internal desc = error invoking app channel: no response \
         received from stream"
    );
    let local = b
        .request(ask(&b, "/v1.0/invoke/b/method/status/404"), "")
        .await;
    assert_eq!(local.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let (a, _b, _) = pair().await;
    let text = "0123456789".repeat(100_000);
    let seen: Value = a.post("/v1.0/invoke/b/method/large", &text).await.json();
    assert_eq!(seen["body"].as_str().unwrap().len(), text.len());
}

#[tokio::test]
async fn body_over_the_limit_is_an_error_that_says_so() {
    let directory = Directory::default();
    let settings = Settings::new("a")
        .app(app::start().await)
        .flags(&["--max-body-size=1Ki"]);
    let a = Sidecar::start(settings, &directory).await;
    let response = a.post("/v1.0/invoke/a/method/x", &"x".repeat(2000)).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.json();
    assert_eq!(body["errorCode"], "ERR_DIRECT_INVOKE");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("larger than 1024 bytes"),
        "{body}"
    );
}

#[tokio::test]
async fn body_of_unknown_length_is_limited_as_well() {
    let directory = Directory::default();
    let settings = Settings::new("a")
        .app(app::start().await)
        .flags(&["--max-body-size=1Ki"]);
    let a = Sidecar::start(settings, &directory).await;
    let pieces = (0..10).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b'x'; 512])));
    let body = Body::from_stream(tokio_stream::iter(pieces));
    let client: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let request = Request::post(a.url("/v1.0/invoke/a/method/x"))
        .body(body)
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        String::from_utf8_lossy(&body).contains("length limit exceeded"),
        "{body:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_invoked_says_why() {
    let directory = Directory::default();
    let a = Sidecar::start(Settings::new("a"), &directory).await;
    let nobody = a.get("/some/path").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert_eq!(
        nobody.json(),
        json!({
            "errorCode": "ERR_DIRECT_INVOKE",
            "message": "failed getting app id either from the URL path or the header dapr-app-id",
        })
    );
    for (path, reason) in [
        (
            "/v1.0/invoke/x/method/y",
            "failed to invoke, id: x, err: no sidecar of x.default in this test",
        ),
        (
            "/v1.0/invoke/a.b.c/method/y",
            "failed to invoke, id: a.b.c, err: invalid app id a.b.c",
        ),
        (
            "/v1.0/invoke/a/method/y",
            "failed to invoke, id: a, err: cannot invoke local endpoint: app channel not initialized",
        ),
        (
            "/v1.0/invoke/a/method/y%23z",
            "failed to invoke, id: a, err: rpc error: code = InvalidArgument desc = invalid method: method contains \
             forbidden character: \"y#z\"",
        ),
    ] {
        let response = a.get(path).await;
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.json()["message"], reason);
    }
}

#[tokio::test]
async fn application_that_is_away_is_told_apart_from_its_sidecar() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    // It never becomes ready: nobody listens on its application's port.
    let away: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
    let _b = Sidecar::launch(Settings::new("b").app(away).sentry(&sentry), &directory).await;
    let response = a.get("/v1.0/invoke/b/method/x").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = response.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("failed to invoke, id: b, err: rpc error: code = Internal desc = error invoking app channel: Get"),
        "{message}"
    );
}

#[tokio::test]
async fn sidecar_that_comes_late_is_reached_by_a_retry() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    directory.point("b", "default", "127.0.0.1:1".parse().unwrap());
    let call = a.get("/v1.0/invoke/b/method/late");
    let start = async {
        Sidecar::start(
            Settings::new("b").app(app::start().await).sentry(&sentry),
            &directory,
        )
        .await
    };
    let (response, _b) = tokio::join!(call, start);
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
}

#[tokio::test]
async fn body_that_nobody_began_to_read_survives_a_retry() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    directory.point("b", "default", "127.0.0.1:1".parse().unwrap());
    let pieces = (0..10).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"piece ")));
    let body = Body::from_stream(tokio_stream::iter(pieces));
    let client: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let request = Request::post(a.url("/v1.0/invoke/b/method/late"));
    let call = client.request(request.body(body).unwrap());
    let start = async {
        Sidecar::start(
            Settings::new("b").app(app::start().await).sentry(&sentry),
            &directory,
        )
        .await
    };
    let (response, _b) = tokio::join!(call, start);
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    assert_eq!(seen["body"], "piece ".repeat(10));
}
