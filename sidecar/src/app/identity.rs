//! The sidecar's identity: when one is needed, it is asked for and kept for as long as the process lives.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trilby_bootstrap::Process;
use trilby_components::workload::{JwtIdentity, NoIdentity, WorkloadIdentity, X509Identity};
use trilby_identity::{Anchors, Identity, KeyType, NoJwt};
use trilby_sentry_client::{ControlPlane, Health, Hooks, TokenSource};
use trilby_sidecar_args::Mode;

use crate::config::Config;

/// The time between two lines in the log while sentry is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for an identity and waits for it; `None` where none is needed.
///
/// # Errors
/// The settings cannot work. That sentry is away is no error: it is waited for.
pub(super) async fn obtain(config: &Config, process: &Process) -> anyhow::Result<Option<Identity>> {
    if !config.needs_identity() {
        tracing::info!("mTLS is disabled: no certificate is requested and TLS is not validated");
        return Ok(None);
    }
    let (identity, renewal) = trilby_sentry_client::start(settings(config)?, hooks(process))?;
    process.spawn("identity", async move {
        renewal.await;
        Ok(())
    });
    while let Err(waiting) = identity.wait_first(PATIENCE).await {
        tracing::warn!(%waiting, sentry = config.control_plane.sentry_address, "still waiting for an identity");
    }
    Ok(Some(identity))
}

/// Where the control plane is at home.
///
/// # Errors
/// Its trust domain or namespace cannot be part of an identity.
pub(super) fn control_plane(config: &Config) -> anyhow::Result<ControlPlane> {
    let trust_domain = config
        .control_plane
        .trust_domain
        .parse()
        .context("control plane trust domain")?;
    ControlPlane::new(trust_domain, &config.control_plane.namespace)
        .context("control plane namespace")
}

fn settings(config: &Config) -> anyhow::Result<trilby_sentry_client::Config> {
    let mode = match config.mode {
        Mode::Kubernetes => trilby_sentry_client::Mode::Kubernetes,
        Mode::Standalone => trilby_sentry_client::Mode::Standalone,
    };
    let environment = &config.environment;
    Ok(trilby_sentry_client::Config {
        sentry_address: config.control_plane.sentry_address.clone(),
        control_plane: control_plane(config)?,
        app_id: environment
            .local_identity
            .clone()
            .unwrap_or_else(|| config.app_id.clone()),
        namespace: environment.namespace.clone(),
        token: TokenSource::discover(mode, |name| std::env::var(name).ok())?,
        key_type: KeyType::Ed25519,
        jwt_audiences: config.control_plane.jwt_audiences.clone(),
        anchors: Anchors::Pem(environment.trust_anchors.clone().unwrap_or_default()),
    })
}

/// The identity as components see it.
pub(super) fn offered(identity: Identity) -> Arc<dyn WorkloadIdentity> {
    Arc::new(Offered(identity))
}

#[derive(Debug)]
struct Offered(Identity);

impl WorkloadIdentity for Offered {
    fn x509(&self) -> Result<X509Identity, NoIdentity> {
        let svid = self.0.current();
        let svid = svid.ok_or_else(|| NoIdentity("no X509 SVID available".to_owned()))?;
        Ok(X509Identity {
            id: svid.id().to_string(),
            chain: svid.chain().iter().map(|der| der.to_vec()).collect(),
            key: svid.key().secret_der().to_vec(),
        })
    }

    fn jwt(&self, audience: &str) -> Result<JwtIdentity, NoIdentity> {
        let svid = self.0.current();
        let jwt = match &svid {
            Some(svid) => svid.jwts().fetch(audience),
            None if audience.is_empty() => Err(NoJwt::AudienceRequired),
            None => Err(NoJwt::NotIssued),
        };
        let jwt = jwt.map_err(|reason| NoIdentity(reason.to_string()))?;
        Ok(JwtIdentity {
            token: jwt.token().to_owned(),
            audiences: jwt.audiences().to_vec(),
        })
    }
}

fn hooks(process: &Process) -> Hooks {
    let latch = process.readiness().latch("identity");
    let health = move |health| match health {
        Health::Ready => latch.ready(),
        Health::NotReady(reason) => latch.unready(reason),
    };
    Hooks {
        metrics: process.metrics().clone(),
        cancel: process.shutdown(),
        health: Arc::new(health),
    }
}

#[cfg(test)]
mod tests {
    use trilby_identity::{TrustBundle, channel};

    use super::offered;

    #[test]
    fn before_there_is_an_identity_components_read_upstreams_reasons() {
        let (_publisher, identity) = channel(TrustBundle::empty());
        let offered = offered(identity);
        let x509 = offered.x509().unwrap_err().to_string();
        assert_eq!(x509, "no X509 SVID available");
        let jwt = |audience| offered.jwt(audience).unwrap_err().to_string();
        assert_eq!(jwt("a"), "no JWT SVID available");
        assert_eq!(jwt(""), "JWT audience is required");
    }
}
