//! `grpc.health.v1.Health`: what `/v1.0/healthz` says, for probes that speak gRPC.
//!
//! Upstream's sidecar has no such service. A call that names an application still goes to that application's own.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use tonic::Status;

use crate::blocks::invoke::headers::{APP_ID, CALLEE_ID};
use crate::health::HealthView;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// The largest request taken, in bytes; it holds a service's name.
const LARGEST_REQUEST: usize = 4 * 1024;
/// The time between two looks for somebody who watches.
const LOOK: Duration = Duration::from_secs(1);
/// Compression flag and length, before each message.
const PREFIX: usize = 5;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "Serving", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Serving {
    Unknown = 0,
    Yes = 1,
    No = 2,
    ServiceUnknown = 3,
}

/// Whether a call is about the sidecar's own health.
pub(super) fn serves(path: &str, headers: &HeaderMap) -> bool {
    let names_app = headers.contains_key(APP_ID) || headers.contains_key(CALLEE_ID);
    matches!(path, CHECK | WATCH) && !names_app
}

/// Answers it; `service` is the one that this server has.
pub(super) async fn answer(
    request: Request<Body>,
    health: &HealthView,
    service: &'static str,
) -> Response<Body> {
    let watches = request.uri().path() == WATCH;
    let asked = match asked(request.into_body()).await {
        Ok(asked) => asked,
        Err(status) => return status.into_http(),
    };
    let known = asked.is_empty() || asked == service;
    match (known, watches) {
        (true, false) => respond(futures_util::stream::iter([frame(of(health)), ended()])),
        (true, true) => respond(changes(health.clone())),
        (false, true) => respond(
            futures_util::stream::iter([frame(Serving::ServiceUnknown)])
                .chain(futures_util::stream::pending()),
        ),
        (false, false) => Status::not_found(format!("unknown service {asked}")).into_http(),
    }
}

async fn asked(body: Body) -> Result<String, Status> {
    let body = axum::body::to_bytes(body, LARGEST_REQUEST).await;
    let mut body = body.map_err(|error| Status::invalid_argument(error.to_string()))?;
    if body.len() < PREFIX || body.get_u8() != 0 || body.get_u32() as usize != body.len() {
        return Err(Status::invalid_argument("not one uncompressed message"));
    }
    HealthCheckRequest::decode(body)
        .map(|request| request.service)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn of(health: &HealthView) -> Serving {
    if health.missing().is_empty() {
        Serving::Yes
    } else {
        Serving::No
    }
}

type Piece = Result<Frame<Bytes>, Status>;

fn frame(serving: Serving) -> Piece {
    let message = HealthCheckResponse {
        status: serving as i32,
    };
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).expect("a message of two bytes"));
    bytes.extend_from_slice(&message.encode_to_vec());
    Ok(Frame::data(bytes.freeze()))
}

fn ended() -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(Frame::trailers(trailers))
}

/// What is so now, and then what changes, until the watcher leaves.
fn changes(health: HealthView) -> impl futures_util::Stream<Item = Piece> + Send {
    let state = (health, None, tokio::time::interval(LOOK));
    futures_util::stream::unfold(state, |(health, said, mut looks)| async move {
        loop {
            looks.tick().await;
            let now = of(&health);
            if said != Some(now) {
                return Some((frame(now), (health, Some(now), looks)));
            }
        }
    })
}

fn respond(pieces: impl futures_util::Stream<Item = Piece> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(StreamBody::new(Box::pin(pieces))));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
