//! Wiring: from settings to a webhook that serves.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use axum::Router;
use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::net::TcpListener;
use trilby_bootstrap::{Process, net};
use trilby_webhook::{Keeper, Server, serve};

use crate::{
    admission::Admission,
    args::Args,
    identity,
    injection::Cluster,
    metrics::Metrics,
    registration::Registration,
    server::{self, Webhook},
    settings::Settings,
    system_configuration::SystemConfiguration,
};

/// Everything the injector is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port of the webhook; 0 chooses one.
    pub port: u16,
    /// Address of the webhook; empty is every interface.
    pub listen_address: String,
    /// Kubeconfig file for use outside a cluster; `None` is the user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Whether sidecars are told of the scheduler.
    pub scheduler: bool,
    /// What the environment says.
    pub settings: Settings,
}

/// An injector whose socket is open and that serves nothing yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: identity::Started,
    system: SystemConfiguration,
    keeper: Keeper<Registration>,
    routes: Router,
}

impl Config {
    /// What flags and environment say together.
    #[must_use]
    pub fn new(args: &Args, settings: Settings) -> Self {
        let kubeconfig = &args.kubeconfig;
        Self {
            port: args.port,
            listen_address: args.listen_address.clone(),
            kubeconfig: (!kubeconfig.is_empty()).then(|| kubeconfig.into()),
            scheduler: args.scheduler_enabled,
            settings,
        }
    }
}

/// Opens the webhook's socket and prepares everything behind it.
///
/// # Errors
/// Where the port is taken, no Kubernetes is configured, or the identity's settings are wrong.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<Bound> {
    let listener = net::listen_async(&config.listen_address, config.port)?;
    let address = listener.local_addr().context("the webhook's address")?;
    let client = client(config.kubeconfig.as_deref()).await?;
    let identity = identity::start(&config.settings, process)?;
    let system = SystemConfiguration::new(client.clone(), &config.settings.namespace);
    let bundle = identity.identity.bundle();
    let keeper = Keeper::new(
        (Registration, client),
        bundle.clone(),
        Some(process.readiness().latch("webhook-configuration")),
    );
    let metrics = Metrics::register(process.metrics())?;
    let mtls = system.mtls();
    let (requesters, cluster) = cluster(config);
    let routes = server::routes(Webhook {
        admission: Admission::new(requesters, cluster, metrics),
        bundle,
        mtls,
    });
    Ok(Bound {
        listener,
        address,
        identity,
        system,
        keeper,
        routes,
    })
}

impl Bound {
    /// Where the webhook listens.
    #[must_use]
    pub fn webhook_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process stops.
    pub fn start(self, process: &Process) {
        let cancel = || process.shutdown();
        let latch = |name| process.readiness().latch(name);
        let (identity, rotation) = (self.identity.identity, self.identity.rotation);
        process.spawn("identity", rotation);
        let known = latch("system-configuration");
        let system = self.system.follow(move || known.ready(), cancel());
        process.spawn("system-configuration", system);
        process.spawn("webhook-configuration", self.keeper.keep(cancel()));
        let webhook = Server {
            listener: self.listener,
            routes: self.routes,
            identity,
            latch: latch("injector-service"),
        };
        process.spawn("webhook", serve(webhook, cancel()));
    }
}

fn cluster(config: Config) -> (crate::Requesters, Cluster) {
    let settings = config.settings;
    let cluster = Cluster {
        namespace: settings.namespace,
        trust_domain: settings.trust_domain,
        domain: settings.cluster_domain,
        actors: settings.actors,
        reminders: settings.reminders,
        scheduler: config.scheduler,
        token_volume: identity::has_kubernetes_token(),
        sidecar: settings.sidecar,
    };
    (settings.requesters, cluster)
}

/// The cluster this runs in, else what the kubeconfig file says.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let config = match kube::Config::incluster() {
        Ok(config) => config,
        Err(_) => outside(kubeconfig)
            .await
            .context("not in a cluster, and no kubeconfig file to use")?,
    };
    Client::try_from(config).context("cannot make a Kubernetes client")
}

async fn outside(file: Option<&Path>) -> Result<kube::Config, kube::config::KubeconfigError> {
    let kubeconfig = match file {
        Some(file) => Kubeconfig::read_from(file)?,
        None => Kubeconfig::read()?,
    };
    kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}
