//! Who is at the other end of a connection.

use std::net::SocketAddr;

use trilby_identity::SpiffeId;

/// The other end, as the transport knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Who it proved to be; `None` without TLS or without a client certificate.
    pub spiffe: Option<SpiffeId>,
    /// Where it called from; `None` over a unix socket.
    pub addr: Option<SocketAddr>,
}

/// The peer of a request that [`crate::serve`] accepted: `peer(request.extensions())`, with tonic's
/// request as with axum's.
#[must_use]
pub fn peer(extensions: &http::Extensions) -> Option<&PeerIdentity> {
    extensions.get()
}
