//! Wiring.

mod replicas;

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::service::Routes;
use trilby_bootstrap::{AdminReply, Latch, Process, net};
use trilby_grpc::ServeConfig;

use crate::{
    api::{Admission, PlacementApi},
    config::Config,
    hub::HubConfig,
    leadership::{Post, Terms},
    metrics::Metrics,
    security::Security,
    state::Tables,
};

use replicas::Replicas;

/// The service with its socket open and nothing running.
pub struct Bound {
    listener: TcpListener,
    security: Security,
    replicas: Replicas,
    terms: Terms,
    api: PlacementApi,
    serve: ServeConfig,
    leadership: Latch,
    server: Latch,
}

/// Obtains the service's identity and opens its socket.
///
/// # Errors
/// The address cannot be listened on, or there is no identity to be had.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<Bound> {
    let leadership = process.readiness().latch("placement-raft-leadership");
    let server = process.readiness().latch("placement-grpc-server");
    let metrics = Metrics::register(process.metrics())?;
    let listener =
        net::listen_async(&config.listen_address, config.port).context("placement server")?;
    let security = Security::start(config.tls.clone(), process).await?;
    let replicas = Replicas::build(&config, &security, metrics.leadership().clone()).await?;
    let rounds = HubConfig {
        rounds: config.rounds,
        replication: config.replication_factor,
        settle: replicas.settle(&config),
    };
    let admission = Admission {
        authenticated: matches!(security, Security::MutualTls { .. }),
        address_check: config.address_check,
        lease: config.rounds.lease,
        metrics: metrics.clone(),
    };
    let tables = config.serve_state.then(Tables::default);
    let terms = Terms::new(&config.cluster.own().id, rounds, metrics).with_tables(tables.clone());
    if let Some(tables) = tables {
        serve_state(process, terms.post(), tables);
    }
    let api = PlacementApi::new(terms.post(), admission);
    let serve = ServeConfig {
        keepalive_interval: config.keepalive_interval,
        keepalive_timeout: config.keepalive_timeout,
        ..ServeConfig::new("placement")
    };
    Ok(Bound {
        listener,
        security,
        replicas,
        terms,
        api,
        serve,
        leadership,
        server,
    })
}

/// As upstream, a replica that does not lead knows nothing.
fn serve_state(process: &Process, post: Post, tables: Tables) {
    process.admin_route("/placement/state", move || {
        AdminReply::json(match post.leads() {
            true => tables.json(),
            false => "null".to_owned(),
        })
    });
}

// === impl Bound ===

impl Bound {
    /// Where sidecars find it.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Runs it until the process stops.
    pub fn start(self, process: &Process) {
        let Self {
            listener,
            security,
            replicas,
            terms,
            api,
            serve,
            leadership,
            server,
        } = self;
        let cancel = process.shutdown();
        let source = replicas.start(&security, process);
        process.spawn("terms", {
            let cancel = cancel.clone();
            async move {
                terms.run(source, cancel).await;
                Ok(())
            }
        });
        process.spawn("api", async move {
            let routes = Routes::new(api);
            trilby_grpc::serve(listener, security.server_tls(), routes, (serve, cancel)).await;
            Ok(())
        });
        leadership.ready();
        server.ready();
    }
}
