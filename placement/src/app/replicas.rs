//! Who says whether this replica leads.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use trilby_bootstrap::{Process, net};
use trilby_grpc::{ServeConfig, Target};

use crate::{
    config::{Config, LeaderElection},
    leadership::{Elector, KeptTerm, LeaseConfig, LeaseElector, Peers, RaftConfig, Source},
    metrics::LeaderMetrics,
    security::Security,
};

/// Other replicas that may be connected at once, with room for those that come back before they are missed.
const CONNECTIONS: usize = 64;

/// Leadership with its socket open, if it needs one, and nothing running.
pub(super) enum Replicas {
    /// There are no others.
    Single,
    /// They elect one.
    Raft(Box<Raft>),
    /// Who holds the Lease leads.
    Lease(Box<(LeaseElector, Source)>),
}

pub(super) struct Raft {
    listener: TcpListener,
    elector: Elector,
    peers: Peers,
    source: Source,
}

// === impl Replicas ===

impl Replicas {
    /// As the settings have it.
    ///
    /// # Errors
    /// The own address cannot be listened on, or another's cannot be used.
    pub(super) async fn build(
        config: &Config,
        security: &Security,
        metrics: LeaderMetrics,
    ) -> anyhow::Result<Self> {
        let own = &config.cluster.own().address;
        let address = Target {
            host: own.host.clone(),
            port: config.port,
        };
        if config.leader_election == LeaderElection::Lease {
            let lease = LeaseConfig {
                namespace: config.namespace.clone(),
                id: config.cluster.own().id.clone(),
                address: address.to_string(),
                promise: config.rounds.lease,
            };
            let elector = LeaseElector::new(lease).await?;
            return Ok(Self::Lease(Box::new(elector)));
        }
        if config.cluster.size() == 1 {
            return Ok(Self::Single);
        }
        let listener = net::listen_async(listen_on(own), own.port)
            .with_context(|| format!("replicas' server on {own}"))?;
        let raft = RaftConfig {
            cluster: Arc::new(config.cluster.clone()),
            lease: config.rounds.lease,
            address: address.to_string(),
            tls: security.peer_tls(),
            kept: config
                .kept_in
                .clone()
                .map_or(KeptTerm::Memory, KeptTerm::Directory),
            metrics,
        };
        let (elector, peers, source) = Elector::new(raft).await?;
        Ok(Self::Raft(Box::new(Raft {
            listener,
            elector,
            peers,
            source,
        })))
    }

    /// How long the streams of a new term wait for those that an earlier leader may have promised something. An election
    /// has waited already.
    pub(super) fn settle(&self, config: &Config) -> Duration {
        match self {
            Self::Single => config.rounds.grace(),
            Self::Raft(_) | Self::Lease(_) => Duration::ZERO,
        }
    }

    /// Runs it until the process stops.
    pub(super) fn start(self, security: &Security, process: &Process) -> Source {
        let raft = match self {
            Self::Single => return Source::single(),
            Self::Lease(lease) => {
                let (elector, source) = *lease;
                let stop = process.shutdown();
                process.spawn("lease", async move {
                    elector.run(stop).await;
                    Ok(())
                });
                return source;
            }
            Self::Raft(raft) => raft,
        };
        let Raft {
            listener,
            elector,
            peers,
            source,
        } = *raft;
        // It answers for as long as the elector does, which may be longer than sidecars are served.
        let (stop, over) = (process.shutdown(), CancellationToken::new());
        let server = (
            ServeConfig {
                max_connections: CONNECTIONS,
                max_streams: Some(64),
                drain: Duration::from_millis(100),
                ..ServeConfig::new("replicas")
            },
            over.clone(),
        );
        let tls = security.server_tls();
        process.spawn("replicas", async move {
            let routes = Routes::new(peers.into_server());
            trilby_grpc::serve(listener, tls, routes, server).await;
            Ok(())
        });
        process.spawn("election", async move {
            elector.run(stop).await;
            over.cancel();
            Ok(())
        });
        source
    }
}

/// A name may not be resolved yet when its own pod starts, so it stands for every address of this machine.
fn listen_on(own: &Target) -> &str {
    match own.host.as_str() {
        "localhost" => "127.0.0.1",
        host if host.parse::<IpAddr>().is_ok() => host,
        _ => "",
    }
}
