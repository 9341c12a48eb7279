//! `dapr.proto.placement.v1.Placement`, with orders that are encoded once for all streams.

mod codec;
mod session;

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::{
    future::BoxFuture,
    stream::{BoxStream, StreamExt as _},
};
use http::{Request, Response};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};
use tower::Service;
use trilby_proto::placement::v1::{Host, placement_server::SERVICE_NAME};

use self::{codec::OrderCodec, session::Session};
use crate::{hub::Notices, wire::Sender};

/// The one method.
const REPORT: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";

/// The service. Generated code would encode each order for each stream.
#[derive(Debug, Clone)]
pub(crate) struct PlacementApi {
    notices: Notices,
    authenticated: bool,
}

// === impl PlacementApi ===

impl PlacementApi {
    /// Streams speak to the hub behind `notices`. Without TLS nobody can be authenticated.
    pub(crate) fn anonymous(notices: Notices) -> Self {
        Self {
            notices,
            authenticated: false,
        }
    }

    /// Streams speak to the hub behind `notices`; each must be from whom its certificate names.
    pub(crate) fn authenticated(notices: Notices) -> Self {
        Self {
            notices,
            authenticated: true,
        }
    }

    fn sender(&self, extensions: &http::Extensions) -> Result<Sender, Status> {
        if !self.authenticated {
            return Ok(Sender::Anybody);
        }
        let spiffe = trilby_grpc::peer(extensions).and_then(|peer| peer.spiffe.clone());
        spiffe
            .map(Sender::Identified)
            .ok_or_else(|| Status::unauthenticated("failed to get client ID from context"))
    }
}

impl NamedService for PlacementApi {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for PlacementApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = ReportMethod(self.clone());
        Box::pin(async move {
            if request.uri().path() != REPORT {
                let text = format!("unknown method {}", request.uri().path());
                return Ok(Status::unimplemented(text).into_http());
            }
            Ok(Grpc::new(OrderCodec).streaming(method, request).await)
        })
    }
}

struct ReportMethod(PlacementApi);

impl StreamingService<Host> for ReportMethod {
    type Response = bytes::Bytes;
    type ResponseStream = BoxStream<'static, Result<bytes::Bytes, Status>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    /// Answers at once: some clients send nothing before they have seen the head of the answer.
    fn call(&mut self, request: tonic::Request<tonic::Streaming<Host>>) -> Self::Future {
        let session = self.0.sender(request.extensions()).map(|sender| {
            let session = Session::new(sender, self.0.notices.clone(), request.into_inner());
            tonic::Response::new(session.into_orders().boxed())
        });
        Box::pin(async move { session })
    }
}

#[cfg(test)]
mod tests;
