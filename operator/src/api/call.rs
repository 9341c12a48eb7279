//! gRPC calls whose answers are bytes already.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE, request};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use tonic::{Status, Streaming, body::Body, codec::BufferSettings, server::NamedService};
use tonic_prost::ProstCodec;
use tracing::debug;

/// What every answer of gRPC is.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Bytes to begin with for what a client sends: requests are a namespace and a name. It grows where that is too small.
const BUFFER: usize = 256;

/// What answers the calls of one gRPC service.
pub(crate) trait Service: NamedService + Clone + Send + 'static {
    fn answer(
        self,
        head: request::Parts,
        body: Body,
    ) -> impl Future<Output = Result<Answer, Status>> + Send;
}

/// What a call yields. Messages have gRPC's head.
pub(crate) enum Answer {
    Message(Bytes),
    Stream(Frames),
}

/// The frames of a stream to its end.
pub(crate) type Frames = BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// A service as a server runs it.
#[derive(Clone)]
pub(crate) struct Served<S>(pub(crate) S);

impl<S: NamedService> NamedService for Served<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service> tower::Service<Request<Body>> for Served<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let answer = service.answer(head, body).await;
            Ok(answer.map_or_else(Status::into_http, Answer::into_http))
        })
    }
}

impl Answer {
    fn into_http(self) -> Response<Body> {
        let body = match self {
            Self::Message(message) => Body::new(StreamBody::new(stream::iter([
                Ok::<_, Infallible>(Frame::data(message)),
                Ok(end(&Status::ok(""))),
            ]))),
            Self::Stream(frames) => Body::new(StreamBody::new(frames)),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        response
    }
}

/// The last frame of an answer.
pub(super) fn end(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // The texts of all statuses are percent-encoded, and so are fit for headers.
    if let Err(unfit) = status.add_header(&mut trailers) {
        debug!(%unfit, "a status does not fit into headers");
    }
    Frame::trailers(trailers)
}

/// The one message of a call.
pub(super) async fn read<M: Message + Default + 'static>(body: Body) -> Result<M, Status> {
    let message = messages(body).message().await?;
    message.ok_or_else(|| Status::internal("the request has no message"))
}

/// The messages of a call.
pub(super) fn messages<M: Message + Default + 'static>(body: Body) -> Streaming<M> {
    let settings = BufferSettings::new(BUFFER, BUFFER);
    let decoder = ProstCodec::<(), M>::raw_decoder(settings);
    Streaming::new_request(decoder, body, None, None)
}
