//! What actor calls need from the way to other sidecars.

use async_trait::async_trait;
use tonic::Status;
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};

/// Other sidecars. The sidecar implements it over its pool of internal connections.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Calls an actor that `peer` hosts (`ServiceInvocation/CallActor`). The peer's identity must be the
    /// one named. A connection that failed must not be used for the next call.
    async fn call_actor(
        &self,
        peer: &Peer,
        request: InternalInvokeRequest,
    ) -> Result<InternalInvokeResponse, Status>;
}

/// A sidecar that hosts actors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `ip:port` of its internal API.
    pub address: String,
    /// Its app.
    pub app_id: String,
    /// Its namespace: always that of the caller.
    pub namespace: String,
}
