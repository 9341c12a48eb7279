//! `dapr.proto.placement.v1.Placement`, with orders that are encoded once for all streams.

mod codec;
mod ownership;
mod session;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
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
use trilby_placement_protocol::{
    extension,
    server::{Dialect, StreamId},
};
use trilby_proto::placement::v1::{Host, placement_server::SERVICE_NAME};

use self::{
    codec::OrderCodec,
    ownership::Ownership,
    session::{Opened, Session},
};
use crate::{
    config::AddressCheck,
    hub::Notices,
    metrics::Metrics,
    wire::{Announced, Sender},
};

/// The one method.
const REPORT: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";

/// The service. Generated code would encode each order for each stream.
#[derive(Debug, Clone)]
pub(crate) struct PlacementApi {
    notices: Notices,
    admission: Admission,
    /// How many streams were opened.
    opened: Arc<AtomicU64>,
}

/// Whom the service lets in, and on which terms.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Each must be who its certificate says. Without TLS nobody can be.
    pub authenticated: bool,
    /// What happens to a host that claims another's address.
    pub address_check: AddressCheck,
    /// How long an answered beat lasts.
    pub lease: Duration,
    /// Counts what is refused.
    pub metrics: Metrics,
}

// === impl PlacementApi ===

impl PlacementApi {
    /// Streams speak to the hub behind `notices`.
    pub(crate) fn new(notices: Notices, admission: Admission) -> Self {
        Self {
            notices,
            admission,
            opened: Arc::default(),
        }
    }

    fn open(&self, request: tonic::Request<tonic::Streaming<Host>>) -> Result<Answer, Status> {
        let extensions = request.extensions();
        let peer = trilby_grpc::peer(extensions).and_then(|peer| peer.addr);
        let announced = Announced::read(request.metadata());
        let Admission {
            address_check,
            metrics,
            ..
        } = self.admission.clone();
        let opened = Opened {
            stream: StreamId(self.opened.fetch_add(1, Relaxed)),
            sender: self.sender(extensions)?,
            announced,
            ownership: Ownership::new(address_check, peer, metrics),
        };
        let session = Session::new(opened, self.notices.clone(), request.into_inner());
        let mut answer = tonic::Response::new(session.into_orders().boxed());
        if announced.dialect == Dialect::Extended {
            let millis = self.admission.lease.as_millis().to_string();
            let value = millis.parse().expect("digits are ASCII");
            answer.metadata_mut().insert(extension::LEASE, value);
        }
        Ok(answer)
    }

    fn sender(&self, extensions: &http::Extensions) -> Result<Sender, Status> {
        if !self.admission.authenticated {
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

type Answer = tonic::Response<BoxStream<'static, Result<bytes::Bytes, Status>>>;

struct ReportMethod(PlacementApi);

impl StreamingService<Host> for ReportMethod {
    type Response = bytes::Bytes;
    type ResponseStream = BoxStream<'static, Result<bytes::Bytes, Status>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    /// Answers at once: some clients send nothing before they have seen the head of the answer.
    fn call(&mut self, request: tonic::Request<tonic::Streaming<Host>>) -> Self::Future {
        let answer = self.0.open(request);
        Box::pin(async move { answer })
    }
}

#[cfg(test)]
mod tests;
