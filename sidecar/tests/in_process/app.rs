//! An application that answers what it was asked.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves until the test ends. Paths choose the behaviour:
/// `/status/<code>` answers with that status, `/stream` echoes the body piece by piece, everything else answers a
/// JSON description of the request.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/status/{code}", any(status))
        .route("/stream", any(stream))
        .route("/dapr/config", any(|| async { StatusCode::NOT_FOUND }))
        .fallback(any(describe));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn status(axum::extract::Path(code): axum::extract::Path<u16>) -> Response {
    let status = StatusCode::from_u16(code).unwrap();
    (
        status,
        [("x-app", "yes"), ("content-type", "text/plain")],
        format!("status {code}"),
    )
        .into_response()
}

async fn stream(request: Request) -> Response {
    let pieces = request
        .into_body()
        .into_data_stream()
        .map(|piece| piece.map_err(std::io::Error::other));
    Response::new(Body::from_stream(pieces))
}

async fn describe(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let described = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers(&head.headers),
        "body": String::from_utf8_lossy(&body),
    });
    ([("x-app", "yes")], axum::Json(described)).into_response()
}

fn headers(headers: &HeaderMap) -> Value {
    let mut described = serde_json::Map::new();
    for name in headers.keys() {
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap().into());
        described.insert(name.as_str().to_owned(), Value::Array(values.collect()));
    }
    Value::Object(described)
}
