//! Where authorities come from: made here, or by somebody else.
//!
//! A source makes and renews; it stores nothing, and decides nothing about when. What it returns is proved by
//! [`crate::issuer::Issuer`] before it is stored, and stored before it is used.

mod self_signed;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use trilby_identity::{SpiffeId, TrustDomain};

use crate::{bundle::Documents, rotation::RotationDocuments};
pub(crate) use self_signed::{KeyAlgorithm, NAME as SELF_SIGNED, SelfSigned, root_key};

/// What an authority is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Sentry's own identity: the subject of issuers.
    pub(crate) sentry: &'a SpiffeId,
    /// The trust domain of the control plane: the subject of roots.
    pub(crate) trust_domain: &'a TrustDomain,
    /// When it is asked for.
    pub(crate) now: SystemTime,
    /// How long before that moment it has to be valid already.
    pub(crate) clock_skew: Duration,
}

/// A new authority, or a new issuer of one that is there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NewAuthority {
    /// Trust anchors, PEM; after a renewal those of before, if they have not changed.
    pub(crate) anchors_pem: Vec<u8>,
    /// Issuer certificate, then what lies between it and an anchor, PEM.
    pub(crate) issuer_chain_pem: Vec<u8>,
    /// The issuer's private key, PEM.
    pub(crate) issuer_key_pem: Vec<u8>,
    /// The root's private key, PEM, where the root is made here.
    pub(crate) root_key_pem: Option<Vec<u8>>,
}

/// Why there is no new authority.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the root's key is not kept here")]
    NoRootKey,
    #[error("ca.key is unusable: {0}")]
    RootKey(String),
    #[error("ca.key is the key of no certificate in ca.crt")]
    ForeignRootKey,
    #[error("the root itself ends too soon")]
    RootEnds,
    #[error("no certificate could be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// Somebody else has to act first; asked again, the source goes on where it was. The text says who and what.
    #[error("waiting: {0}")]
    Pending(String),
    /// Somebody else refused, or did not answer.
    #[error("{0}")]
    External(String),
}

/// Somebody who makes authorities.
///
/// Each call ends within a minute, and may be dropped at any await: what it began is taken up by the next call, of
/// this process or of another replica. What it returns may be thrown away, when another replica was faster.
#[async_trait]
pub(crate) trait AuthoritySource: Send + Sync {
    /// What it is called in `rotation.json`, in the status and in logs: a constant without spaces.
    fn name(&self) -> &'static str;

    /// A new authority that owes nothing to the current one.
    async fn make(&self, order: Order<'_>) -> Result<NewAuthority, SourceError>;

    /// A new issuer for an authority that this source made, under the same root, or under another one that peers
    /// trust already. It has to live longer than until `end`, which is when the current one ends.
    async fn renew(
        &self,
        current: &Documents,
        end: SystemTime,
        order: Order<'_>,
    ) -> Result<NewAuthority, SourceError>;

    /// Why an authority that this source made is not what it would make now, such as another kind of key; `None` if
    /// it is. The reason begins a rotation.
    fn outdated(&self, current: &Documents) -> Option<String>;
}

impl NewAuthority {
    /// The documents of an authority that stands alone, without tokens.
    pub(crate) fn into_documents(self) -> Documents {
        Documents {
            ca: self.anchors_pem,
            issuer: self.issuer_chain_pem,
            key: self.issuer_key_pem,
            root_key: self.root_key_pem,
            tokens: None,
            rotation: RotationDocuments::default(),
        }
    }
}

/// The sources of one sentry.
#[derive(Clone)]
pub(crate) struct Sources {
    /// Makes new authorities.
    pub(crate) configured: Arc<dyn AuthoritySource>,
    /// Renews those whose root's key is kept here, whoever is configured.
    pub(crate) own: SelfSigned,
}

impl Sources {
    /// Everything is made here.
    pub(crate) fn own(own: SelfSigned) -> Self {
        Self {
            configured: Arc::new(own),
            own,
        }
    }

    /// Who renews an authority.
    pub(crate) fn renewer(&self, current: &Documents) -> &dyn AuthoritySource {
        if current.root_key.is_some() {
            &self.own
        } else {
            &*self.configured
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A self-signed authority for `sentry`, valid since so long before now.
    pub(crate) fn documents(
        sentry: &SpiffeId,
        trust_domain: &TrustDomain,
        (now, clock_skew): (SystemTime, Duration),
    ) -> Documents {
        let order = Order {
            sentry,
            trust_domain,
            now,
            clock_skew,
        };
        let made = SelfSigned::default().generate(order).unwrap();
        made.into_documents()
    }
}
