//! Who this service is, and whom it lets in.

use std::sync::Arc;

use anyhow::Context as _;
use tracing::info;
use trilby_bootstrap::Process;
use trilby_identity::{Anchors, ClientAuth, Identity, KeyType, SpiffeId};
use trilby_sentry_client::{Config, ControlPlane, Health, Hooks, Mode, TokenSource};

use crate::{config::TlsSettings, leadership::PeerTls};

/// The service's name within the control plane.
const APP_ID: &str = "dapr-placement";

/// How streams are protected.
pub(crate) enum Security {
    /// Not at all: any client may claim to be any app.
    Plaintext,
    /// Both sides show SVIDs.
    MutualTls {
        identity: Identity,
        /// Placement's own name, that of every replica.
        own: SpiffeId,
    },
}

// === impl Security ===

impl Security {
    /// Obtains an identity if there shall be one, and waits for it.
    ///
    /// # Errors
    /// Where the settings cannot be right.
    pub(crate) async fn start(
        settings: Option<TlsSettings>,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let latch = process.readiness().latch("security-provider");
        let Some(settings) = settings else {
            latch.ready();
            return Ok(Self::Plaintext);
        };
        let hooks = Hooks {
            metrics: process.metrics().clone(),
            cancel: process.shutdown(),
            health: Arc::new(move |health| match health {
                Health::Ready => latch.ready(),
                Health::NotReady(reason) => latch.unready(reason),
            }),
        };
        let request = settings.request()?;
        let own = request.control_plane.placement();
        let (identity, renewal) = trilby_sentry_client::start(request, hooks)?;
        process.spawn("identity", async move {
            renewal.await;
            Ok(())
        });
        info!("waiting for the identity");
        // The sender lives in the renewal task, which lives as long as the process.
        drop(identity.svid().wait_for(Option::is_some).await);
        Ok(Self::MutualTls { identity, own })
    }

    /// What the server speaks; `None` for plain text.
    pub(crate) fn server_tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        match self {
            Self::Plaintext => None,
            Self::MutualTls { identity, .. } => Some(identity.server_tls(ClientAuth::Required)),
        }
    }

    /// How replicas prove themselves to each other; `None` for plain text.
    pub(crate) fn peer_tls(&self) -> Option<PeerTls> {
        match self {
            Self::Plaintext => None,
            Self::MutualTls { identity, own } => Some(PeerTls {
                identity: identity.clone(),
                own: own.clone(),
            }),
        }
    }
}

// === impl TlsSettings ===

impl TlsSettings {
    fn request(self) -> anyhow::Result<Config> {
        let trust_domain = self
            .trust_domain
            .parse()
            .context("invalid --trust-domain")?;
        let mode = match self.mode.as_str() {
            "kubernetes" => Mode::Kubernetes,
            "standalone" => Mode::Standalone,
            other => anyhow::bail!("invalid --mode {other:?}: expected kubernetes or standalone"),
        };
        Ok(Config {
            sentry_address: self.sentry_address,
            control_plane: ControlPlane::new(trust_domain, &self.namespace)?,
            app_id: APP_ID.to_owned(),
            namespace: self.namespace,
            token: TokenSource::discover(mode, |name| std::env::var(name).ok())?,
            key_type: KeyType::Ed25519,
            jwt_audiences: Vec::new(),
            anchors: Anchors::File(self.anchors_file),
        })
    }
}
