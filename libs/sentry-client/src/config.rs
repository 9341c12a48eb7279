//! What a process must say about itself to obtain an identity.

use trilby_grpc::client::InvalidTarget;
use trilby_identity::{Anchors, BundleError, KeyType, SpiffeId, SpiffeIdError, TrustDomain};

use crate::TokenSource;

/// App IDs of the control plane's own services.
const SERVICES: [&str; 5] = [
    "dapr-operator",
    "dapr-placement",
    "dapr-injector",
    "dapr-sentry",
    "dapr-scheduler",
];

/// Where the control plane is at home: what its services are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    trust_domain: TrustDomain,
    namespace: String,
}

/// An identity to ask for, and of whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sentry's address, `host:port`.
    pub sentry_address: String,
    /// Whose sentry it must be.
    pub control_plane: ControlPlane,
    /// The app ID, or `dapr-<service>`.
    pub app_id: String,
    /// The namespace this process runs in.
    pub namespace: String,
    /// What proves to sentry who asks.
    pub token: TokenSource,
    /// The kind of key.
    pub key_type: KeyType,
    /// Audiences of the JWTs wanted beside the certificate. They are part of the SVID.
    pub jwt_audiences: Vec<String>,
    /// Whom to trust.
    pub anchors: Anchors,
}

/// Why no identity can be had with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No app ID.
    #[error("app ID is required to obtain an identity")]
    AppId,
    /// No namespace; an empty `NAMESPACE` is set, not unset.
    #[error("namespace is required to obtain an identity (is NAMESPACE set but empty?)")]
    Namespace,
    /// Sentry's address is missing or malformed.
    #[error("sentry address: {0}")]
    Address(#[from] InvalidTarget),
    /// A name that cannot be part of a SPIFFE ID.
    #[error(transparent)]
    SpiffeId(#[from] SpiffeIdError),
    /// The trust anchors given as text are unusable.
    #[error(transparent)]
    Anchors(#[from] BundleError),
    /// The metrics are registered already: two identities in one process.
    #[error("metrics of the identity: {0}")]
    Metrics(#[from] prometheus::Error),
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The control plane in `namespace`, vouched for as `trust_domain`.
    ///
    /// # Errors
    /// When the namespace cannot be part of a SPIFFE ID.
    pub fn new(trust_domain: TrustDomain, namespace: &str) -> Result<Self, SpiffeIdError> {
        SpiffeId::new(&trust_domain, namespace, "dapr-sentry")?;
        Ok(Self {
            trust_domain,
            namespace: namespace.to_owned(),
        })
    }

    /// The trust domain of its services.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The namespace it runs in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `spiffe://<trust domain>/ns/<namespace>/dapr-sentry`
    #[must_use]
    pub fn sentry(&self) -> SpiffeId {
        self.service("dapr-sentry")
    }

    /// `spiffe://<trust domain>/ns/<namespace>/dapr-operator`
    #[must_use]
    pub fn operator(&self) -> SpiffeId {
        self.service("dapr-operator")
    }

    /// `spiffe://<trust domain>/ns/<namespace>/dapr-placement`
    #[must_use]
    pub fn placement(&self) -> SpiffeId {
        self.service("dapr-placement")
    }

    fn service(&self, app_id: &str) -> SpiffeId {
        SpiffeId::new(&self.trust_domain, &self.namespace, app_id)
            .expect("the namespace was checked, the names are constants")
    }

    /// Whether a workload is one of the services.
    fn includes(&self, namespace: &str, app_id: &str) -> bool {
        namespace == self.namespace && SERVICES.contains(&app_id)
    }
}

// === impl Config ===

impl Config {
    /// The trust domain to ask for: services name their own, applications leave it to sentry.
    pub(crate) fn requested_trust_domain(&self) -> &str {
        if self.control_plane.includes(&self.namespace, &self.app_id) {
            self.control_plane.trust_domain.as_str()
        } else {
            ""
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.app_id.is_empty() {
            return Err(ConfigError::AppId);
        }
        if self.namespace.is_empty() {
            return Err(ConfigError::Namespace);
        }
        Ok(())
    }
}
