//! Who the injector is: an identity from sentry, renewed for as long as the process lives.

use std::sync::Arc;

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use trilby_bootstrap::Process;
use trilby_identity::{Anchors, Identity, KeyType};
use trilby_sentry_client::{Config, ControlPlane, Health, Hooks, Mode, TokenSource};

use crate::settings::Settings;

/// Some clouds' API servers refuse webhooks with other keys.
const KEY_TYPE: KeyType = KeyType::Rsa2048;

/// An identity, and the task that keeps it.
pub(crate) struct Started {
    pub(crate) identity: Identity,
    pub(crate) rotation: BoxFuture<'static, anyhow::Result<()>>,
}

/// Prepares the identity; readiness says how it fares.
///
/// # Errors
/// Where the settings cannot be right.
pub(crate) fn start(settings: &Settings, process: &Process) -> anyhow::Result<Started> {
    let trust_domain = settings
        .trust_domain
        .parse()
        .context("invalid control plane trust domain")?;
    let config = Config {
        sentry_address: settings.sentry_address.clone(),
        control_plane: ControlPlane::new(trust_domain, &settings.namespace)?,
        app_id: settings.app_id.clone(),
        namespace: settings.namespace.clone(),
        token: settings.token.clone(),
        key_type: KEY_TYPE,
        jwt_audiences: Vec::new(),
        anchors: Anchors::File(settings.trust_anchors_file.clone()),
    };
    let latch = process.readiness().latch("security-provider");
    let hooks = Hooks {
        metrics: process.metrics().clone(),
        cancel: process.shutdown(),
        health: Arc::new(move |health| match health {
            Health::Ready => latch.ready(),
            Health::NotReady(reason) => latch.unready(reason),
        }),
    };
    let (identity, renewal) = trilby_sentry_client::start(config, hooks)?;
    Ok(Started {
        identity,
        rotation: renewal.map(Ok).boxed(),
    })
}

/// Whether this cluster mounts tokens into pods: sidecars then get one for sentry.
pub(crate) fn has_kubernetes_token() -> bool {
    match TokenSource::discover(Mode::Kubernetes, |_name| None) {
        Ok(TokenSource::Mounted { projected, legacy }) => projected.exists() || legacy.exists(),
        _ => false,
    }
}
