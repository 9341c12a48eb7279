//! The sidecar's identity: when one is needed, it is asked for and kept for as long as the process lives.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trilby_bootstrap::Process;
use trilby_identity::{Anchors, Identity, KeyType};
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
