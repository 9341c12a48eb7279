//! Actors on other hosts: their sidecars are called directly, at the address that placement gave.

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use trilby_actors::Peer;
use trilby_proto::internals::v1::service_invocation_client::ServiceInvocationClient;
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};
use trilby_telemetry::{TRACEPARENT, TRACESTATE};

use crate::blocks::invoke::Target;
use crate::metrics::{Completed, GrpcClientMetrics, Sizes};
use crate::peers::Peers;
use crate::tracing_context::tell_sidecar;

const CALL_ACTOR: &str = "/dapr.proto.internals.v1.ServiceInvocation/CallActor";

/// Calls other sidecars over the connections that invocations use, too.
#[derive(Debug, Clone)]
pub struct ActorPeers {
    peers: Peers,
    max_message: usize,
    metrics: GrpcClientMetrics,
}

impl ActorPeers {
    /// `max_message` is the largest message in bytes.
    pub fn new(peers: Peers, max_message: usize, metrics: GrpcClientMetrics) -> Self {
        Self {
            peers,
            max_message,
            metrics,
        }
    }

    fn count(
        &self,
        (start, request): (Instant, usize),
        answer: Result<&InternalInvokeResponse, &Status>,
    ) {
        let call = Completed {
            method: CALL_ACTOR,
            status: answer.map_or_else(Status::code, |_| Code::Ok),
            sizes: Some(Sizes {
                request: request as u64,
                response: answer.map_or(0, |response| response.encoded_len() as u64),
            }),
        };
        self.metrics.called(&call, start);
    }
}

/// The headers of a call that say where it is in its trace.
fn headers_of_wire(request: &InternalInvokeRequest) -> HeaderMap {
    let traced = [TRACEPARENT, TRACESTATE];
    let value = |name: &HeaderName| {
        let mut entries = request.metadata.iter();
        let (_, list) = entries.find(|(key, _)| name.as_str().eq_ignore_ascii_case(key))?;
        HeaderValue::from_str(list.values.first()?).ok()
    };
    let found = traced.into_iter().filter_map(|name| {
        let value = value(&name)?;
        Some((name, value))
    });
    found.collect()
}

#[async_trait]
impl trilby_actors::Peers for ActorPeers {
    async fn call_actor(
        &self,
        peer: &Peer,
        request: InternalInvokeRequest,
    ) -> Result<InternalInvokeResponse, Status> {
        let target = Target {
            app_id: peer.app_id.clone(),
            namespace: peer.namespace.clone(),
        };
        let channel = self.peers.channel(&peer.address, &target);
        let channel = channel.map_err(|error| Status::internal(error.to_string()))?;
        let mut client = ServiceInvocationClient::new(channel)
            .max_decoding_message_size(self.max_message)
            .max_encoding_message_size(self.max_message);
        let headers = headers_of_wire(&request);
        let began = (Instant::now(), request.encoded_len());
        let mut request = Request::new(request);
        tell_sidecar(&headers, request.metadata_mut());
        let answer = client.call_actor(request).await;
        let answer = answer.map(tonic::Response::into_inner);
        self.count(began, answer.as_ref());
        if let Err(status) = &answer
            && matches!(status.code(), Code::Unavailable | Code::Unauthenticated)
        {
            self.peers.discard(&peer.address, &target);
        }
        answer
    }
}
