//! A service that sidecars do not know, and a client of it: bytes in gRPC's framing, so that tests see what passes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use trilby_grpc::client::CallBody;
use trilby_grpc::{Channel, ChannelConfig, ServeConfig, Target};

/// A running service.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    /// A call that hung was given up.
    pub(crate) dropped: mpsc::UnboundedReceiver<()>,
}

/// A message as it stands on the wire.
pub(crate) fn message(content: &[u8]) -> Bytes {
    let size = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0][..], &size, content].concat().into()
}

/// Serves until the test ends: `/test.Echo/Echo` answers each message with itself, `/test.Echo/Break` the first
/// message, and breaks off at the second, `/test.Echo/Refuse` a status with details, `/test.Echo/Hang` nothing, ever.
pub(crate) async fn start() -> Echo {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, dropped) = mpsc::unbounded_channel();
    let hang = move |_: Request| {
        let guard = TellOnDrop(tell.clone());
        async move { grpc(Body::new(Hanging(guard))) }
    };
    let routes = Router::new()
        .route("/test.Echo/Echo", post(echo))
        .route("/test.Echo/Break", post(break_off))
        .route("/test.Echo/Refuse", post(refuse))
        .route("/test.Echo/Hang", post(hang));
    let server = ServeConfig {
        max_streams: Some(100),
        ..ServeConfig::new("app")
    };
    let options = (server, CancellationToken::new());
    tokio::spawn(trilby_grpc::serve(listener, None, routes, options));
    Echo { address, dropped }
}

fn grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let value = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", value);
    response
}

async fn echo(request: Request) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-trailer", HeaderValue::from_static("passed"));
    let seen = request.headers().get("x-custom").cloned();
    let body = request
        .into_body()
        .with_trailers(async { Some(Ok(trailers)) });
    let mut response = grpc(Body::new(body));
    if let Some(value) = seen {
        response.headers_mut().insert("x-custom", value);
    }
    response
}

async fn break_off(request: Request) -> Response<Body> {
    let messages = request.into_body().into_data_stream().enumerate();
    grpc(Body::from_stream(messages.map(
        |(index, data)| match index {
            0 => data.map_err(std::io::Error::other),
            _ => Err(std::io::Error::other("broken")),
        },
    )))
}

async fn refuse(_: Request) -> Response<Body> {
    let mut response = grpc(Body::empty());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from_static("9"));
    headers.insert("grpc-message", HeaderValue::from_static("not%20now"));
    headers.insert(
        "grpc-status-details-bin",
        HeaderValue::from_static("CAkSB25vdCBub3c"),
    );
    response
}

struct TellOnDrop(mpsc::UnboundedSender<()>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        // Nobody listens any more when the test has ended.
        self.0.send(()).ok();
    }
}

struct Hanging(#[allow(dead_code, reason = "held for its drop")] TellOnDrop);

impl http_body::Body for Hanging {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// A connection to a gRPC API.
pub(crate) fn channel(address: SocketAddr) -> Channel {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap()
}

/// An open call.
pub(crate) struct Call {
    /// Dropped to end the request.
    pub(crate) send: mpsc::Sender<Result<Bytes, Infallible>>,
    pub(crate) headers: HeaderMap,
    body: CallBody,
}

/// How an answer went on.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Broken,
}

impl Call {
    /// Opens a call of `/test.Echo/<method>` of an app.
    pub(crate) async fn open(channel: Channel, app: &str, method: &str) -> Self {
        Self::open_with(channel, (app, method), &[]).await
    }

    /// As [`Call::open`], with messages sent before the head of the answer is waited for.
    pub(crate) async fn open_with(
        mut channel: Channel,
        (app, method): (&str, &str),
        first: &[&[u8]],
    ) -> Self {
        let (send, receive) = mpsc::channel(4);
        for content in first {
            send.send(Ok(message(content))).await.unwrap();
        }
        let request = http::Request::post(format!("/test.Echo/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("dapr-app-id", app)
            .header("dapr-stream", "true")
            .header("x-custom", "seen")
            .body(tonic::body::Body::new(Body::from_stream(
                ReceiverStream::new(receive),
            )))
            .unwrap();
        let response = channel.call(request).await.unwrap();
        let (head, body) = response.into_parts();
        Self {
            send,
            headers: head.headers,
            body,
        }
    }

    /// Ends the request.
    pub(crate) fn finish(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.send = closed;
    }

    pub(crate) async fn next(&mut self) -> Next {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(20), self.body.frame());
        match frame.await.expect("answered in time") {
            None => Next::End,
            Some(Err(_)) => Next::Broken,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Next::Data(data),
                Err(frame) => Next::Trailers(frame.into_trailers().unwrap()),
            },
        }
    }

    /// The status, from the trailers or the head, with its text.
    pub(crate) async fn status(&mut self) -> (String, String) {
        let mut fields = self.headers.clone();
        if !fields.contains_key("grpc-status") {
            fields = loop {
                match self.next().await {
                    Next::Data(_) => {}
                    Next::Trailers(trailers) => break trailers,
                    other => panic!("no status: {other:?}"),
                }
            };
        }
        let text = |name: &str| {
            let value = fields.get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().replace("%20", " ")
        };
        (text("grpc-status"), text("grpc-message"))
    }
}
