use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};

use super::{Body, CollectError, HttpMiddleware, Next, collect, empty, full, refusal};

/// Appends its letter to a header of the request, then to one of the response.
struct Letter(&'static str);

#[async_trait]
impl HttpMiddleware for Letter {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        request
            .headers_mut()
            .append("in", HeaderValue::from_static(self.0));
        let mut response = next.run(request).await;
        response
            .headers_mut()
            .append("out", HeaderValue::from_static(self.0));
        response
    }
}

struct Refuse;

#[async_trait]
impl HttpMiddleware for Refuse {
    async fn handle(&self, _: Request<Body>, _: Next<'_>) -> Response<Body> {
        refusal(StatusCode::FORBIDDEN)
    }
}

fn letters(response: &Response<Body>, name: &str) -> String {
    let values = response.headers().get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// Answers with the letters that reached it.
async fn end(request: Request<Body>) -> Response<Body> {
    let mut response = Response::new(empty());
    for value in request.headers().get_all("in") {
        response.headers_mut().append("in", value.clone());
    }
    response
}

#[tokio::test]
async fn the_first_is_outermost() {
    let pipeline: [Arc<dyn HttpMiddleware>; 2] = [Arc::new(Letter("a")), Arc::new(Letter("b"))];
    let response = Next::new(&pipeline, end).run(Request::new(empty())).await;
    assert_eq!(letters(&response, "in"), "ab");
    assert_eq!(letters(&response, "out"), "ba");
}

#[tokio::test]
async fn a_refusal_ends_the_way_in() {
    let pipeline: [Arc<dyn HttpMiddleware>; 3] = [
        Arc::new(Letter("a")),
        Arc::new(Refuse),
        Arc::new(Letter("c")),
    ];
    let response = Next::new(&pipeline, |_| async { panic!("nobody gets here") })
        .run(Request::new(empty()))
        .await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(letters(&response, "out"), "a");
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    let body = collect(response.into_body(), 100).await.unwrap();
    assert_eq!(body, "Forbidden");
}

#[tokio::test]
async fn a_body_is_collected_up_to_its_limit() {
    let body = || full(Bytes::from_static(b"abcde"));
    assert_eq!(collect(body(), 5).await.unwrap(), "abcde");
    let refused = collect(body(), 4).await.unwrap_err();
    assert!(matches!(refused, CollectError::TooLarge { limit: 4 }));
}
