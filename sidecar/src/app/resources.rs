//! Resources: from the operator in Kubernetes, from folders elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trilby_bootstrap::{Hangups, Latch, Process};
use trilby_components::registry::Registry;
use trilby_grpc::ChannelConfig;
use trilby_identity::{Expect, Identity};
use trilby_resources::{Environment, Resources, Source};

use super::{Ending, identity, in_kubernetes, pluggable};
use crate::config::Config;
use crate::host;
use crate::metrics::ComponentMetrics;

/// How long the operator is waited for at start: upstream asks 100 times for 5 s.
const FIRST_LOAD: Duration = Duration::from_secs(500);

/// Loads everything once and follows changes from then on.
///
/// # Errors
/// The source cannot be read. A component that fails is no error: it is tried again.
pub(super) async fn start(
    config: &Config,
    identity: Option<&Identity>,
    (registry, metrics): (Registry, ComponentMetrics),
    (process, ending): (&Process, &Ending),
) -> anyhow::Result<Resources> {
    let settings = trilby_resources::Config {
        app_id: config.app_id.clone(),
        namespace: config
            .environment
            .namespace_given
            .then(|| config.environment.namespace.clone()),
        source: source(config, identity)?,
        registry: pluggable::start(config, registry, (process, ending)),
        kubernetes_secrets: in_kubernetes(config) && config.resources.kubernetes_secrets,
        reconcile_interval: config.resources.reconcile_interval,
        first_load: FIRST_LOAD,
        environment: environment(config),
        identity: identity.cloned().map(identity::offered),
        observer: Arc::new(metrics),
    };
    let loaded = process.readiness().latch("components");
    let hangups = Hangups::listen().context("SIGHUP")?;
    let (resources, following) = Resources::start(settings, ending.closing.clone()).await?;
    let tending = tend(resources.clone(), loaded, hangups);
    process.spawn("resources", async move {
        tokio::select! {
            () = following => {}
            () = tending => {}
        }
        Ok(())
    });
    Ok(resources)
}

/// Says which components keep the sidecar from being ready, and reads everything again at each SIGHUP.
async fn tend(resources: Resources, ready: Latch, mut hangups: Hangups) {
    let mut changes = resources.changes();
    loop {
        changes.mark_unchanged();
        match missing(&resources) {
            Some(missing) => ready.unready(missing),
            None => ready.ready(),
        }
        tokio::select! {
            Ok(()) = changes.changed() => {}
            () = hangups.next() => {
                tracing::info!("reading all resources again (SIGHUP)");
                resources.reload();
            }
        }
    }
}

/// The components that failed at the start and do not serve yet, with their reasons.
fn missing(resources: &Resources) -> Option<String> {
    let components = resources.components().into_iter();
    let missing: Vec<String> = components
        .filter(|component| component.holds_up_start)
        .map(|component| {
            format!(
                "{}: {}",
                component.name,
                component.error.unwrap_or_default()
            )
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

fn source(config: &Config, identity: Option<&Identity>) -> anyhow::Result<Source> {
    let resources = &config.resources;
    if !in_kubernetes(config) {
        let configurations = resources.configurations.iter().map(PathBuf::from).collect();
        return Ok(Source::Disk {
            directories: resources.paths.clone(),
            configurations,
        });
    }
    if let [first, _, ..] = resources.configurations.as_slice() {
        tracing::warn!(
            used = first,
            "several Configurations are named, only the first is used"
        );
    }
    let target = config
        .control_plane
        .operator_address
        .parse()
        .context("control-plane-address")?;
    let operator = identity::control_plane(config)?.operator();
    let tls = identity.map(|identity| identity.client_tls(Expect::Exact(operator)));
    Ok(Source::Operator {
        channel: trilby_grpc::channel(target, tls, ChannelConfig::default())
            .context("control-plane-address")?,
        configuration: resources.configurations.first().cloned(),
    })
}

/// What components may read: the process's environment, and what upstream's sidecar puts there itself.
fn environment(config: &Config) -> Environment {
    let app_id = config.app_id.clone();
    let app_port = config.app.as_ref().map(|app| app.port.to_string());
    let host = host::address(config.environment.host_ip).to_string();
    Environment::new(move |name| match name {
        "APP_ID" => Some(app_id.clone()),
        "APP_PORT" => app_port.clone(),
        "HOST_ADDRESS" => Some(host.clone()),
        name => std::env::var(name).ok(),
    })
}
