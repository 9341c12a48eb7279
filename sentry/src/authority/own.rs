//! Sentry's own certificate.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use trilby_bootstrap::Latch;
use trilby_identity::{
    CertificateSigner, Issued, RenewalError, RenewalObserver, SignError, Svid, Tokens,
};

use super::Authority;
use crate::{bundle::unix_seconds, csr, issuer::Leaf, metrics::Metrics};

/// Sentry's own certificate comes from its own issuer, without a network in between.
pub(crate) struct OwnSigner(pub(crate) Arc<Authority>);

#[async_trait]
impl CertificateSigner for OwnSigner {
    async fn sign(&self, csr_pem: &str) -> Result<Issued, SignError> {
        let failed = |message: String| SignError {
            class: "sign",
            message,
        };
        let authority = &self.0;
        let issuer = authority
            .issuer()
            .ok_or_else(|| failed("no certificate authority yet".to_owned()))?;
        let key = csr::public_key(csr_pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let leaf = Leaf {
            id: authority.sentry.clone(),
            dns_names: Vec::new(),
            images: None,
        };
        let signed = issuer
            .sign(&leaf, &key, authority.moment())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Issued {
            chain_pem: signed.chain_pem.into_bytes(),
            anchors_pem: None,
            tokens: Tokens::default(),
        })
    }
}

/// Tells how sentry's own certificate fares.
pub(crate) struct OwnObserver {
    pub(crate) latch: Latch,
    pub(crate) metrics: Metrics,
}

impl RenewalObserver for OwnObserver {
    fn renewed(&self, svid: &Svid) {
        self.latch.ready();
        tracing::info!(id = %svid.id(), expiry = unix_seconds(svid.not_after()), "own certificate signed");
    }

    fn failed(&self, error: &RenewalError, _retry_in: Duration) {
        self.metrics.own_failed();
        tracing::warn!(%error, "own certificate could not be signed");
    }

    fn expired(&self, _not_after: SystemTime) {
        self.latch.unready("own certificate expired");
        tracing::error!("own certificate expired, clients refuse it");
    }
}
