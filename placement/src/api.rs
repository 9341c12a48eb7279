//! `dapr.proto.placement.v1.Placement`.
//!
//! Generated code would encode each order for each stream, and keep a copy for each. Here an order is
//! encoded once, with its frame, and all streams share the bytes.

mod ownership;
mod session;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::StreamBody;
use tonic::{Status, Streaming, body::Body, codec::BufferSettings, server::NamedService};
use tonic_prost::ProstCodec;
use tower::Service;
use trilby_placement_protocol::{
    extension,
    server::{Dialect, StreamId},
};
use trilby_proto::placement::v1::{Host, PlacementOrder, placement_server::SERVICE_NAME};

use self::{
    ownership::Ownership,
    session::{Opened, Session},
};
use crate::{
    config::AddressCheck,
    leadership::Post,
    metrics::Metrics,
    wire::{Announced, Sender},
};

/// The one method.
const REPORT: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";

/// What every answer of gRPC is.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Bytes to begin with for what a host says: mostly acknowledgements. Reports make it grow. The usual 8 KiB would be
/// a sixth of what a host costs.
const BUFFER: usize = 256;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct PlacementApi {
    post: Post,
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
    /// Streams are served while `post` leads.
    pub(crate) fn new(post: Post, admission: Admission) -> Self {
        Self {
            post,
            admission,
            opened: Arc::default(),
        }
    }

    fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        if request.uri().path() != REPORT {
            let text = format!("unknown method {}", request.uri().path());
            return Err(Status::unimplemented(text));
        }
        let hub = (self.post.clone(), self.post.admit()?);
        let (head, body) = request.into_parts();
        let opened = self.open(&head)?;
        let dialect = opened.announced.dialect;
        let settings = BufferSettings::new(BUFFER, BUFFER);
        let decoder = ProstCodec::<PlacementOrder, Host>::raw_decoder(settings);
        let inbound = Streaming::new_request(decoder, body, None, None);
        let session = Session::new(opened, hub, inbound);
        let mut response = Response::new(Body::new(StreamBody::new(session.into_frames())));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, GRPC);
        if dialect == Dialect::Extended {
            let millis = self.admission.lease.as_millis().to_string();
            let millis = HeaderValue::try_from(millis).expect("digits are ASCII");
            headers.insert(extension::LEASE, millis);
        }
        Ok(response)
    }

    fn open(&self, head: &http::request::Parts) -> Result<Opened, Status> {
        let peer = trilby_grpc::peer(&head.extensions).and_then(|peer| peer.addr);
        let (policy, metrics) = (self.admission.address_check, self.admission.metrics.clone());
        Ok(Opened {
            stream: StreamId(self.opened.fetch_add(1, Relaxed)),
            sender: self.sender(&head.extensions)?,
            announced: Announced::read(&head.headers),
            ownership: Ownership::new(policy, peer, metrics),
        })
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
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Answers at once: some clients send nothing before they have seen the head of the answer.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.answer(request);
        ready(Ok(answer.unwrap_or_else(Status::into_http)))
    }
}

#[cfg(test)]
mod tests;
