use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
    response::Response,
};
use prometheus::Registry;
use serde_json::{Value, from_slice};
use tokio::sync::watch;
use tower::ServiceExt;
use trilby_identity::TrustBundle;

use super::{Webhook, routes};
use crate::{
    admission::Admission,
    injection::{Declarations, testing::cluster},
    metrics::Metrics,
    requester::Requesters,
    telling::Telling,
};

/// As `trilby_webhook::read` has it.
const BODY_LIMIT: usize = 8 << 20;

async fn send(request: Request<Body>) -> Response {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let webhook = Webhook {
        admission: Admission::new(
            Requesters::new("").unwrap(),
            cluster(),
            (metrics.clone(), Telling::off(&metrics)),
        ),
        bundle: watch::Sender::new(Arc::new(TrustBundle::empty())).subscribe(),
        mtls: watch::Sender::new(true).subscribe(),
        components: watch::Sender::new(Declarations::default()).subscribe(),
        native_sidecars: watch::Sender::new(true).subscribe(),
    };
    routes(webhook).oneshot(request).await.unwrap()
}

fn request(body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/mutate").header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), BODY_LIMIT).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn an_empty_body_is_refused() {
    let response = send(request("")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(text(response).await, "empty body");
}

#[tokio::test]
async fn only_json_is_read() {
    for given in [
        None,
        Some("text/plain"),
        Some("application/json; charset=utf-8"),
    ] {
        let mut request = request("{}");
        request.headers_mut().remove("content-type");
        if let Some(given) = given {
            request
                .headers_mut()
                .insert("content-type", given.parse().unwrap());
        }
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let wanted = "invalid Content-Type, expected `application/json`";
        assert_eq!(text(response).await, wanted);
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let response = send(request(vec![b' '; BODY_LIMIT + 1])).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response).await, "body is larger than 8 MiB");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let never = Body::from_stream(futures_util::stream::pending::<
        Result<Vec<u8>, std::io::Error>,
    >());
    let response = send(request(never)).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn whatever_is_no_review_gets_a_denial_with_any_method() {
    for method in [Method::POST, Method::GET, Method::PUT] {
        let mut request = request("not json");
        *request.method_mut() = method;
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        let answer: Value = from_slice(text(response).await.as_bytes()).unwrap();
        assert_eq!(answer["response"]["allowed"], false);
    }
}

#[tokio::test]
async fn there_is_nothing_else() {
    let mut request = request("{}");
    *request.uri_mut() = "/other".parse().unwrap();
    assert_eq!(send(request).await.status(), StatusCode::NOT_FOUND);
}
