//! The actor runtime, if there is a placement to place actors.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use trilby_actors::{Actors, Route, Settings, StateTtl, Surroundings};
use trilby_crds::ConfigurationSpec;
use trilby_grpc::{Channel, ChannelConfig};
use trilby_identity::Expect;

use super::{Ending, Wiring, identity, in_kubernetes};
use crate::blocks::actors::{ActorBlock, ActorPeers, AppActors};
use crate::peers::Peers;

/// Starts the runtime; what it hosts is told later.
///
/// # Errors
/// A placement address is malformed, or a sidecar in Kubernetes has no namespace.
pub(super) fn start(
    wiring: &Wiring<'_>,
    (peers, ending): (Peers, &Ending),
    (host, port): (IpAddr, u16),
) -> anyhow::Result<ActorBlock> {
    let config = wiring.config;
    if config.control_plane.placement_addresses.is_empty() {
        return Ok(ActorBlock::new(
            Actors::disabled(),
            wiring.resiliency.clone(),
        ));
    }
    if in_kubernetes(config) && config.control_plane.mtls && config.environment.namespace.is_empty()
    {
        bail!(trilby_actors::ActorError::NamespaceRequired);
    }
    let max_body = config.servers.max_body;
    let surroundings = Surroundings {
        app: Arc::new(AppActors::new(
            wiring.app.clone(),
            wiring.resiliency.clone(),
            max_body,
        )),
        peers: Arc::new(ActorPeers::new(
            peers,
            max_body,
            wiring.metrics.grpc_client(),
        )),
        store: wiring.resources.actor_state(),
        observer: Arc::new(wiring.metrics.actors()),
        resiliency: wiring.resiliency.clone(),
    };
    let actors = Actors::new(
        settings(wiring, advertised(wiring, host, port)),
        surroundings,
    );
    let (running, route) = (actors.clone(), route(wiring)?);
    let (serving, in_use) = (ending.serving.clone(), Arc::clone(&ending.in_use));
    wiring.process.spawn("actors", async move {
        running.run(route, serving).await;
        drop(in_use);
        Ok(())
    });
    Ok(ActorBlock::new(actors, wiring.resiliency.clone()))
}

fn settings(wiring: &Wiring<'_>, host_address: String) -> Settings {
    let config = wiring.config;
    let configuration = Arc::clone(&wiring.resources.configuration().borrow());
    Settings {
        app_id: config.app_id.clone(),
        namespace: config.environment.namespace.clone(),
        host_address,
        disseminate_timeout: config.control_plane.disseminate_timeout,
        state_ttl: if has_feature(&configuration, "ActorStateTTL") {
            StateTtl::Allowed
        } else {
            StateTtl::Refused
        },
    }
}

fn has_feature(configuration: &ConfigurationSpec, name: &str) -> bool {
    let mut mentions = configuration
        .features
        .iter()
        .filter(|feature| feature.name == name);
    mentions
        .next_back()
        .is_some_and(|feature| feature.enabled == Some(true))
}

/// The address that placement tells other sidecars: one that listens on the loopback only tells that.
fn advertised(wiring: &Wiring<'_>, host: IpAddr, port: u16) -> String {
    let listening = wiring.config.servers.internal_address.as_str();
    match listening {
        "127.0.0.1" | "localhost" | "[::1]" => format!("{listening}:{port}"),
        _ => SocketAddr::new(host, port).to_string(),
    }
}

/// In Kubernetes the first address stands for all replicas.
fn route(wiring: &Wiring<'_>) -> anyhow::Result<Route> {
    let placement = identity::control_plane(wiring.config)?.placement();
    let tls = wiring
        .identity
        .as_ref()
        .map(|identity| identity.client_tls(Expect::Exact(placement)));
    let channel = |address: &String| -> anyhow::Result<Channel> {
        let target = address.parse().context("placement-host-address")?;
        trilby_grpc::channel(target, tls.clone(), ChannelConfig::default())
            .context("placement-host-address")
    };
    let addresses = &wiring.config.control_plane.placement_addresses;
    let mut channels = addresses
        .iter()
        .map(channel)
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match in_kubernetes(wiring.config) {
        true => Route::named(channels.swap_remove(0)),
        false => Route::listed(channels),
    })
}
