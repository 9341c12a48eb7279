//! SPIFFE identities, SVIDs, trust bundles and the TLS made from them.
//!
//! ```text
//! CertificateSigner ──► rotation ──► Publisher ──► Identity ──► server_tls / client_tls
//! anchors (inline, file, learnt) ────────┘            └──────► svid() / bundle()
//! ```
//!
//! [`Identity`] is what the rest of a process holds: the current SVID and the current trust bundle.
//! TLS configurations made from it read both at every handshake, so that a renewal or a change of
//! the anchors needs no new configuration and touches no established connection.
//!
//! Deliberately absent: Kubernetes, gRPC, where tokens come from, which service this is. Whoever can
//! sign a certificate implements [`CertificateSigner`].

mod anchors;
mod clock;
mod csr;
mod identity;
mod jwt;
pub mod pem;
mod rotation;
mod spiffe;
mod svid;
#[cfg(test)]
mod testing;
mod tls;
mod trust_bundle;
mod verification;

pub use anchors::{Anchors, AnchorsFile};
pub use clock::{Clock, SystemClock};
pub use csr::{Csr, CsrError, KeyType};
pub use identity::{Identity, NoIdentity, Publisher, channel};
pub use jwt::{JwtError, JwtSvid, JwtSvids, NoJwt, Tokens};
pub use rotation::{
    CertificateSigner, Issued, LearntAnchors, RenewalError, RenewalObserver, Rotation, Schedule,
    SignError,
};
pub use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};
pub use svid::{Svid, SvidError};
pub use tls::{ClientAuth, Expect, crypto_provider, handshake_failure};
pub use trust_bundle::{BundleError, MAX_TOLD_ANCHORS, TRUST_ANCHORS_METADATA, TrustBundle};
pub use verification::{VerificationError, peer_id};
