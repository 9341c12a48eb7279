//! Wiring: from settings to a webhook that serves.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use axum::Router;
use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{net::TcpListener, sync::watch};
use trilby_bootstrap::{Process, net};
use trilby_webhook::{Keeper, Server, serve};

use crate::{
    admission::Admission,
    args::Args,
    component_containers::ComponentContainers,
    identity,
    injection::{self, Declarations, Live},
    metrics::Metrics,
    registration::Registration,
    server::{self, Webhook},
    server_version,
    settings::Settings,
    system_configuration::SystemConfiguration,
    telling::{Queue, Telling},
    unserved::{Mode, Reconciler, Refusals, Unserved},
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
    /// What becomes of pods without sidecar; `None`: nobody looks.
    pub unserved: Option<Mode>,
    /// What the environment says.
    pub settings: Settings,
}

/// An injector whose socket is open and that serves nothing yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: identity::Started,
    client: Client,
    system: SystemConfiguration,
    components: ComponentContainers,
    native_sidecars: watch::Sender<bool>,
    /// Nothing where no Events are created.
    events: Option<Queue>,
    keeper: Keeper<Registration>,
    routes: Router,
    unserved: Option<(Reconciler, String)>,
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
            unserved: args.unserved(),
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
    let namespace = config.settings.watch_namespace.as_deref();
    let components = ComponentContainers::new(client.clone(), namespace);
    let keeper = Keeper::new(
        (Registration, client.clone()),
        bundle.clone(),
        Some(process.readiness().latch("webhook-configuration")),
    );
    let metrics = Metrics::register(process.metrics())?;
    let (telling, events) = telling(config.settings.events, &metrics);
    let native_sidecars = watch::Sender::new(false);
    let unserved = unserved(&config, &client, process)?;
    let cluster = config
        .settings
        .cluster(config.scheduler, identity::has_kubernetes_token());
    let requesters = config.settings.requesters;
    let routes = server::routes(Webhook {
        admission: Admission::new(requesters, cluster, (metrics, telling)),
        bundle,
        mtls: system.mtls(),
        components: components.known(),
        native_sidecars: native_sidecars.subscribe(),
    });
    Ok(Bound {
        listener,
        address,
        identity,
        client,
        system,
        components,
        native_sidecars,
        events,
        keeper,
        routes,
        unserved,
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
        let components = self.components.follow(latch("components"), cancel());
        process.spawn("components", components);
        let asked = latch("server-version");
        let version = server_version::follow(
            self.client.clone(),
            self.native_sidecars,
            move || asked.ready(),
            cancel(),
        );
        process.spawn("server-version", version);
        if let Some(events) = self.events {
            process.spawn("events", events.follow(self.client, cancel()));
        }
        process.spawn("webhook-configuration", self.keeper.keep(cancel()));
        let webhook = Server {
            listener: self.listener,
            routes: self.routes,
            identity,
            latch: latch("injector-service"),
        };
        process.spawn("webhook", serve(webhook, cancel()));
        if let Some((unserved, namespace)) = self.unserved {
            process.spawn("pods-without-sidecar", unserved.run(namespace, cancel()));
        }
    }
}

fn telling(events: bool, metrics: &Metrics) -> (Telling, Option<Queue>) {
    if !events {
        return (Telling::off(metrics), None);
    }
    let (telling, queue) = Telling::new(metrics);
    (telling, Some(queue))
}

/// Who looks after pods without sidecar, and the control plane's namespace.
fn unserved(
    config: &Config,
    client: &Client,
    process: &Process,
) -> anyhow::Result<Option<(Reconciler, String)>> {
    let Some(mode) = config.unserved else {
        return Ok(None);
    };
    let settings = config.settings.clone();
    let (own, namespace) = (settings.namespace.clone(), settings.watch_namespace.clone());
    let cluster = settings.cluster(config.scheduler, identity::has_kubernetes_token());
    // What differs from one injection to the next is no reason to call a pod refused for good.
    let components = Declarations::default();
    let refusals: Refusals = Arc::new(move |pod, namespace| {
        let live = Live {
            namespace,
            trust_anchors: "",
            mtls: true,
            components: &components,
            native_sidecars: false,
        };
        let outcome = injection::inject(pod, &cluster, live);
        outcome.err().map(|refusal| refusal.to_string())
    });
    let unserved = Unserved { mode, namespace };
    let reconciler = Reconciler::new(unserved, (client.clone(), process), refusals)?;
    Ok(Some((reconciler, own)))
}

/// The cluster this runs in, else what the kubeconfig file says.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kube::Config::incluster() {
        Ok(config) => config,
        Err(_) => outside(kubeconfig)
            .await
            .context("not in a cluster, and no kubeconfig file to use")?,
    };
    // Whoever asks tries again at its own pace: in here "too many requests", which is also what an eviction that a disruption
    // budget forbids is told, would be tried again for longer than the asker waits.
    config.default_retry = false;
    Client::try_from(config).context("cannot make a Kubernetes client")
}

async fn outside(file: Option<&Path>) -> Result<kube::Config, kube::config::KubeconfigError> {
    let kubeconfig = match file {
        Some(file) => Kubeconfig::read_from(file)?,
        None => Kubeconfig::read()?,
    };
    kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}
