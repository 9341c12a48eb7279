//! Wiring.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;
use trilby_bootstrap::{Latch, Process, net};
use trilby_grpc::{ServeConfig, serve};
use trilby_identity::{Anchors, ClientAuth, Identity, KeyType};
use trilby_sentry_client::{ControlPlane, Health, Hooks, Mode, TokenSource};

use crate::{
    api::{Api, ReportsApi, Served},
    cluster::{self, Scope},
    drift::{Drift, Upgrade, Upgrader},
    leader::{self, Election},
    metrics::Metrics,
    pods::Assignments,
    reports::Reports,
    resource::Kind,
    services::{Reconcile, Reconciler},
    settings::{self, Settings},
    status::Writer,
    store::{Feed, Store},
    validation::Strictness,
    view::Views,
    watchdog::{Watchdog, WatchdogSettings},
    webhooks::Webhooks,
};

/// The operator's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control plane's namespace.
    pub namespace: String,
    /// Name of the Configuration with the control plane's settings.
    pub system_configuration: String,
    /// The only namespace that is watched; `None`: all.
    pub watch_namespace: Option<String>,
    /// Who does the leader's work.
    pub election: Election,
    /// Which workloads get a Service.
    pub services: Reconcile,
    /// PEM file with the trust anchors; followed.
    pub trust_anchors_file: PathBuf,
    /// Port of the gRPC API; 0: any.
    pub port: u16,
    /// Address the gRPC API listens on; empty: all.
    pub listen_address: String,
    /// Kubeconfig file; `None`: found by the usual rules.
    pub kubeconfig: Option<PathBuf>,
    /// Where Subscriptions are converted and resources validated for the API server; `None`: not at all.
    pub webhooks: Option<Listen>,
    /// What becomes of findings; `None`: nothing is looked for.
    pub validation: Option<Strictness>,
    /// What becomes of definitions that lack something; `None`: nothing, but that it is told.
    pub definitions: Option<Upgrade>,
    /// What becomes of pods without a sidecar; `None`: nothing.
    pub watchdog: Option<WatchdogSettings>,
    /// The app id to be identified by.
    pub app_id: String,
}

impl Config {
    pub(crate) fn scope(&self) -> Scope {
        match self.watch_namespace.clone() {
            Some(namespace) => Scope::Namespace(namespace),
            None => Scope::All,
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Empty: all.
    pub address: String,
    /// 0: any.
    pub port: u16,
}

/// An operator with an identity and an open socket, and nothing running but the renewal of the identity.
pub struct Bound {
    process: Process,
    config: Config,
    client: Client,
    settings: Settings,
    identity: Identity,
    listener: TcpListener,
    address: SocketAddr,
    metrics: Metrics,
    cache: Latch,
    pods: Latch,
    api: Latch,
    webhooks: Option<Webhooks>,
}

/// Waits for the control plane's settings and for an identity, for as long as it takes; then opens the socket.
///
/// # Errors
/// Settings that cannot work, or a socket that cannot be opened.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<Bound> {
    let readiness = process.readiness();
    let (configured, secured) = (
        readiness.latch("operator-configuration"),
        readiness.latch("security-provider"),
    );
    let webhook = readiness.latch("operator-webhook");
    let (cache, pods, api) = (
        readiness.latch("operator-cache"),
        readiness.latch("operator-pods"),
        readiness.latch("operator-api-server"),
    );
    let metrics = Metrics::register(process.metrics())?;
    let client = cluster::client(config.kubeconfig.as_deref()).await?;
    let settings = settings::wait_for(
        &client,
        &config.namespace,
        &config.system_configuration,
        &configured,
    )
    .await?;
    configured.ready();
    let identity = identify(&config, &settings, process, secured)?;
    wait_for_identity(&identity).await;
    let listener = net::listen_async(&config.listen_address, config.port).context("gRPC API")?;
    let address = listener.local_addr()?;
    let webhooks = Webhooks::open(&config, (&client, &identity), (webhook, &metrics))?;
    Ok(Bound {
        process: process.clone(),
        config,
        webhooks,
        client,
        settings,
        identity,
        listener,
        address,
        metrics,
        cache,
        pods,
        api,
    })
}

/// Starts to obtain an identity; `latch` follows how that fares.
fn identify(
    config: &Config,
    settings: &Settings,
    process: &Process,
    latch: Latch,
) -> anyhow::Result<Identity> {
    let request = trilby_sentry_client::Config {
        sentry_address: settings.sentry_address.clone(),
        control_plane: ControlPlane::new(settings.trust_domain.clone(), &config.namespace)?,
        app_id: config.app_id.clone(),
        namespace: config.namespace.clone(),
        token: TokenSource::discover(Mode::Kubernetes, |name| std::env::var(name).ok())?,
        // Some managed clusters refuse webhooks whose certificate has another kind of key.
        key_type: KeyType::Rsa2048,
        jwt_audiences: Vec::new(),
        anchors: Anchors::File(config.trust_anchors_file.clone()),
    };
    let hooks = Hooks {
        metrics: process.metrics().clone(),
        cancel: process.shutdown(),
        health: Arc::new(move |health| match health {
            Health::Ready => latch.ready(),
            Health::NotReady(reason) => latch.unready(reason),
        }),
    };
    let (identity, renewal) = trilby_sentry_client::start(request, hooks)?;
    process.spawn("identity", async move {
        renewal.await;
        Ok(())
    });
    Ok(identity)
}

async fn wait_for_identity(identity: &Identity) {
    // The sender lives in the renewal task, which lives as long as the process.
    drop(identity.svid().wait_for(Option::is_some).await);
}

impl Bound {
    /// Where sidecars connect.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.address
    }

    /// Starts everything as tasks of the process.
    pub fn start(mut self) {
        let scope = self.config.scope();
        let views: HashMap<Kind, Views> = Kind::ALL.map(|kind| (kind, Views::default())).into();
        let (assignments, synced) = (Assignments::default(), CancellationToken::new());
        let reports = Reports::new(self.metrics.clone());
        self.start_leading(scope.clone(), reports.clone());
        if let Some(webhooks) = self.webhooks.take() {
            webhooks.start(&self.process);
        }
        self.process.spawn("pods", {
            let (client, latch) = (self.client.clone(), self.pods.clone());
            let shutdown = self.process.shutdown();
            assignments
                .clone()
                .run(client, scope.clone(), latch, shutdown)
        });
        let feed = Feed {
            client: self.client.clone(),
            scope,
            store: Store::new(
                |kind| views[&kind].clone(),
                self.metrics.clone(),
                reports.clone(),
            ),
            latch: self.cache.clone(),
            synced: synced.clone(),
        };
        self.process
            .spawn("cache", feed.run(self.process.shutdown()));
        let api = Api::new(
            views,
            assignments,
            self.metrics.clone(),
            self.process.shutdown(),
        );
        self.serve(api, reports, synced);
    }

    /// Stands for election, and does the leader's work.
    fn start_leading(&self, scope: Scope, reports: Reports) {
        let watchdog = self.config.watchdog.map(|settings| Watchdog {
            client: self.client.clone(),
            scope: scope.clone(),
            namespace: self.config.namespace.clone(),
            settings,
            metrics: self.metrics.clone(),
        });
        let reconciler = Reconciler {
            client: self.client.clone(),
            scope,
            reconcile: self.config.services,
            app_tls: self.settings.app_tls,
            metrics: self.metrics.clone(),
        };
        let upgrader = self.config.definitions.map(|mode| Upgrader {
            client: self.client.clone(),
            mode,
            namespace: self.config.namespace.clone(),
        });
        let work = Leading {
            services: (self.config.services != Reconcile::Off).then_some(reconciler),
            status: Writer {
                client: self.client.clone(),
                reports,
                metrics: self.metrics.clone(),
            },
            watchdog,
            drift: Drift {
                client: self.client.clone(),
                metrics: self.metrics.clone(),
                upgrader,
            },
            metrics: self.metrics.clone(),
        };
        let shutdown = self.process.shutdown();
        match self.config.election {
            Election::Disabled => self.process.spawn("leader", work.run(shutdown)),
            Election::Lease => {
                let elector = leader::elector(self.client.clone(), &self.config.namespace);
                let work = move |term| work.clone().run(term);
                self.process.spawn("leader", elector.run(shutdown, work));
            }
        }
    }

    /// Serves once the cache holds what there is: a sidecar never sees half of its components.
    fn serve(self, api: Api, reports: Reports, synced: CancellationToken) {
        let shutdown = self.process.shutdown();
        let reports = ReportsApi::new(reports, shutdown.clone());
        let routes = tonic::service::Routes::new(Served(api))
            .add_service(Served(reports))
            .prepare();
        let tls = self.identity.server_tls(ClientAuth::Required);
        let (listener, address, latch) = (self.listener, self.address, self.api);
        self.process.spawn("api", async move {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = synced.cancelled() => {}
            }
            info!(%address, "serving sidecars");
            latch.ready();
            let config = ServeConfig::new("operator");
            serve(listener, Some(tls), routes, (config, shutdown)).await;
            Ok(())
        });
    }
}

/// What only one replica does.
#[derive(Clone)]
struct Leading {
    /// `None` if the apps' Services are managed by somebody else.
    services: Option<Reconciler>,
    status: Writer,
    watchdog: Option<Watchdog>,
    drift: Drift,
    metrics: Metrics,
}

impl Leading {
    /// Works until `term` ends.
    async fn run(self, term: CancellationToken) -> anyhow::Result<()> {
        let reports = self.status.reports.clone();
        reports.set_counting(true);
        self.metrics.leader.set(1);
        let services = async {
            match self.services {
                Some(services) => services.run(term.clone()).await,
                None => Ok(()),
            }
        };
        let status = async {
            self.status.run(term.clone()).await;
            Ok(())
        };
        let watchdog = async {
            if let Some(watchdog) = self.watchdog {
                watchdog.run(term.clone()).await;
            }
            Ok(())
        };
        let drift = async {
            self.drift.run(term.clone()).await;
            Ok(())
        };
        let ended = tokio::try_join!(services, status, watchdog, drift);
        self.metrics.leader.set(0);
        reports.set_counting(false);
        ended.map(drop)
    }
}
