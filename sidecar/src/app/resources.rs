//! Resources: from the operator in Kubernetes, from folders elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use trilby_bootstrap::Process;
use trilby_components::registry::Registry;
use trilby_grpc::ChannelConfig;
use trilby_identity::{Expect, Identity};
use trilby_resources::{Environment, Resources, Source};

use super::{Ending, identity, in_kubernetes};
use crate::config::Config;
use crate::host;

/// How long the operator is waited for at start: upstream asks 100 times for 5 s.
const FIRST_LOAD: Duration = Duration::from_secs(500);

/// Loads everything once and follows changes from then on.
///
/// # Errors
/// The source cannot be read. A component that fails is no error: it is tried again.
pub(super) async fn start(
    config: &Config,
    identity: Option<&Identity>,
    registry: Registry,
    (process, ending): (&Process, &Ending),
) -> anyhow::Result<Resources> {
    let settings = trilby_resources::Config {
        app_id: config.app_id.clone(),
        namespace: config
            .environment
            .namespace_given
            .then(|| config.environment.namespace.clone()),
        source: source(config, identity)?,
        registry,
        kubernetes_secrets: in_kubernetes(config) && config.resources.kubernetes_secrets,
        reconcile_interval: config.resources.reconcile_interval,
        first_load: FIRST_LOAD,
        environment: environment(config),
    };
    let loaded = process.readiness().latch("components");
    let (resources, following) = Resources::start(settings, ending.closing.clone()).await?;
    loaded.ready();
    process.spawn("resources", async move {
        following.await;
        Ok(())
    });
    Ok(resources)
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
