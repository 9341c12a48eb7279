//! Wiring: from a [`Config`] to a running sidecar.
//!
//! Order, as upstream's: the internal port is reserved → identity → resources → application channel, blocks →
//! servers → outbound calls are possible → the application is waited for and asked what it hosts → ready.
//! Whatever is away meanwhile (sentry, operator, placement, the application) is waited for, visibly: in the log
//! and in what health says is missing.

mod actors;
mod bindings;
mod configuration;
mod described;
mod ending;
mod endpoints;
mod identity;
mod listeners;
mod metrics;
mod names;
mod pipelines;
mod pluggable;
mod profiles;
mod resiliency;
mod resources;
mod rules;
mod serve;
mod startup;
mod subscriptions;
mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use trilby_bootstrap::Process;
use trilby_bootstrap::net::hostname;
use trilby_components::name_resolution::NameResolver;
use trilby_components::registry::Registry;
use trilby_identity::{ClientAuth, Identity};
use trilby_resiliency::Resiliency;
use trilby_resources::Resources;
use trilby_sidecar_args::Mode;
use trilby_telemetry::Tracing;

use crate::api::grpc::{Gate, GrpcApi, Services};
use crate::api::http::{Cors, HttpApi};
use crate::api::internal::InternalApi;
use crate::blocks::Blocks;
use crate::blocks::crypto::Crypto;
use crate::blocks::invoke::headers::ForwardingHost;
use crate::blocks::invoke::{Externals, Invoker};
use crate::blocks::lock::Locks;
use crate::blocks::metadata::Metadata;
use crate::blocks::secrets::Secrets;
use crate::blocks::state::State;
use crate::channel::{AppChannel, ChannelConfig, Proxies};
use crate::config::Config;
use crate::health::HealthView;
use crate::host;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::resolver::{Following, Names};
use crate::shutdown::ShutdownRequest;
use ending::Ending;
use listeners::{Listeners, address_of};

/// A sidecar whose sockets are open and that serves nobody yet.
pub struct Bound {
    process: Process,
    config: Config,
    listeners: Listeners,
    http: Arc<HttpApi>,
    services: Services,
    serving: serve::Serving,
    health: HealthView,
    app_health: watch::Sender<bool>,
    consuming: watch::Sender<bool>,
    ending: Ending,
    following: Option<Following>,
    began: Instant,
}

/// What a build of the sidecar brings along.
pub struct Parts {
    /// The component types it knows.
    pub registry: Registry,
    /// How other sidecars are found; `None` leaves it to the Configuration.
    pub resolver: Option<Arc<dyn NameResolver>>,
}

/// Builds a sidecar. Waits for sentry and, in Kubernetes, for the operator, for as long as they need.
///
/// # Errors
/// A port is taken, or the Configuration asks for something that cannot be enforced.
pub async fn build(config: Config, parts: Parts, process: &Process) -> anyhow::Result<Bound> {
    let began = Instant::now();
    let internal = listeners::reserve(&config)?;
    let (app_health, healthy) = watch::channel(initially_healthy(&config));
    let ending = Ending::new();
    ending.spawn(process, config.ending, healthy.clone());
    profiles::start(&config, process).await?;
    let metrics = metrics::start(&config, process);
    let identity = identity::obtain(&config, process).await?;
    let resources = resources::start(
        &config,
        identity.as_ref(),
        (parts.registry.clone(), metrics.components()),
        (process, &ending),
    )
    .await?;
    let pipelines = pipelines::follow(process, &resources);
    metrics::follow(&metrics, &config, &resources, process)?;
    let app = channel((&config, &metrics), (healthy, pipelines.app.clone()))?;
    let serving = serve::Serving::new(&config, internal_tls(&config, identity.as_ref()));
    let resiliency = resiliency::start(process, &resources, metrics.resiliency());
    let tracing = telemetry::start((process, &ending), &config, &resources)?;
    let proxies = Proxies::new(&config.environment.proxies);
    let wired = Wiring {
        config: &config,
        process,
        tracing,
        identity,
        externals: endpoints::externals(process, &resources, (pipelines.app, proxies)).await,
        rules: rules::follow(process, &resources, &config)?,
        resources,
        resiliency,
        app,
        healthy: app_health.subscribe(),
        pipeline: pipelines.server,
        metrics,
    };
    let (names, following) = names::wire(&wired, parts, &internal);
    let blocks = wired.blocks(names, &internal, &ending)?;
    let (consuming, consumes) = watch::channel(false);
    bindings::read(&wired, blocks.bindings.clone(), (&ending, consumes));
    let health = HealthView::new(process.readiness().clone(), blocks.actors.clone());
    let (http, services) = wired.apis(&blocks, &health, &ending)?;
    let listeners = Listeners::open(&config, internal).await?;
    let process = process.clone();
    Ok(Bound {
        process,
        config,
        listeners,
        http,
        services,
        serving,
        health,
        app_health,
        consuming,
        ending,
        following,
        began,
    })
}

impl Bound {
    /// The HTTP API's address; unspecified on a unix socket.
    pub fn http_addr(&self) -> SocketAddr {
        self.listeners.http[0].address()
    }

    /// The gRPC API's address; unspecified on a unix socket.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.listeners.grpc[0].address()
    }

    /// The address for other sidecars.
    pub fn internal_addr(&self) -> SocketAddr {
        self.listeners.internal.address()
    }

    /// Starts serving, on tasks of the process.
    pub fn start(self) {
        let Self {
            process,
            config,
            listeners,
            http,
            services,
            serving,
            health,
            app_health,
            consuming,
            ending,
            following,
            began,
        } = self;
        names::spawn((&process, &ending), following, &listeners);
        let blocks = Arc::clone(&http.blocks);
        serve::spawn(&process, (&ending, &serving), (listeners, http, services));
        health.open_outbound();
        let health = (app_health, consuming);
        startup::spawn((&process, &ending), (config, began), blocks, health);
    }
}

/// TLS of the server for other sidecars: off when mTLS is off, although the control plane always has it.
fn internal_tls(config: &Config, identity: Option<&Identity>) -> Option<Arc<rustls::ServerConfig>> {
    identity
        .filter(|_| config.control_plane.mtls)
        .map(|identity| identity.server_tls(ClientAuth::Required))
}

/// An application whose health is asked counts as unhealthy until it says otherwise.
fn initially_healthy(config: &Config) -> bool {
    config.app.as_ref().is_none_or(|app| app.health.is_none())
}

fn channel(
    (config, metrics): (&Config, &Metrics),
    (healthy, pipeline): (watch::Receiver<bool>, Pipeline),
) -> anyhow::Result<Option<AppChannel>> {
    let Some(app) = &config.app else {
        return Ok(None);
    };
    let token = &config.environment.app_token;
    let token = (!token.is_empty())
        .then(|| HeaderValue::from_str(token))
        .transpose();
    let channel = ChannelConfig {
        host: app.host.clone(),
        port: app.port,
        protocol: app.protocol,
        max_concurrency: app.max_concurrency,
        max_message: config.servers.max_body,
        max_head: config.servers.max_head,
        token: token.context("APP_API_TOKEN cannot be sent as a header")?,
        metrics: metrics.clone(),
    };
    let channel = AppChannel::new(&channel, healthy, pipeline);
    channel.map(Some).context("app-channel-address")
}

/// What the blocks and APIs are made from.
struct Wiring<'a> {
    config: &'a Config,
    process: &'a Process,
    tracing: Tracing,
    identity: Option<Identity>,
    resources: Resources,
    externals: Externals,
    rules: rules::Followed,
    resiliency: Resiliency,
    app: Option<AppChannel>,
    healthy: watch::Receiver<bool>,
    pipeline: Pipeline,
    metrics: Metrics,
}

impl Wiring<'_> {
    fn blocks(
        &self,
        names: Names,
        internal: &TcpListener,
        ending: &Ending,
    ) -> anyhow::Result<Arc<Blocks>> {
        let Config {
            app_id,
            environment,
            ..
        } = self.config;
        let peers = Peers::new(
            self.identity
                .clone()
                .filter(|_| self.config.control_plane.mtls),
        );
        let internal_port = address_of(internal).port();
        let address = host::address(environment.host_ip);
        let invoke = Invoker {
            app_id: app_id.clone(),
            namespace: environment.namespace.clone(),
            host: ForwardingHost::new(address, &hostname()),
            app: self.app.clone(),
            externals: self.externals.clone(),
            resolver: Arc::new(names.clone()),
            peers: peers.clone(),
            internal_port,
            max_body: self.config.servers.max_body,
            metrics: self.metrics.invocation(),
            resiliency: self.resiliency.clone(),
        };
        let (pubsub, subscriptions) = subscriptions::start(self, ending);
        let actors = actors::start(self, (peers, ending), (address, internal_port))?;
        Ok(Arc::new(Blocks {
            invoke,
            state: State::new(
                self.resources.clone(),
                self.resiliency.clone(),
                (&environment.namespace, app_id),
            )
            .measured(self.metrics.components()),
            secrets: Secrets::new(
                self.resources.clone(),
                self.resiliency.clone(),
                self.rules.secrets.clone(),
            )
            .measured(self.metrics.components()),
            lock: Locks::new(self.resources.clone(), self.resiliency.clone(), app_id)
                .measured(self.metrics.components()),
            configuration: configuration::start(self, ending),
            pubsub,
            bindings: bindings::block(self),
            crypto: Crypto::new(self.resources.clone(), self.resiliency.clone())
                .measured(self.metrics.components()),
            metadata: Metadata::new(
                app_id,
                described::connection(self.config),
                self.resources.clone(),
                (actors.clone(), names, subscriptions.clone()),
            ),
            subscriptions,
            actors,
        }))
    }

    fn apis(
        &self,
        blocks: &Arc<Blocks>,
        health: &HealthView,
        ending: &Ending,
    ) -> anyhow::Result<(Arc<HttpApi>, Services)> {
        let rules = &self.rules;
        let token = rules::api_token(self.process, &self.config.environment)?;
        let shutdown = ShutdownRequest::new(self.process.shutdown(), ending.forced.clone());
        let max_body = self.config.servers.max_body;
        let gate = Gate {
            token: token.clone(),
            rules: rules.apis.clone(),
            api_logging: rules.logging.clone(),
            health: health.clone(),
            metrics: self.metrics.grpc_server(),
            tracing: self.tracing.clone(),
        };
        let grpc = GrpcApi {
            blocks: Arc::clone(blocks),
            shutdown: shutdown.clone(),
        };
        let services = Services::new(
            grpc,
            InternalApi::new(Arc::clone(blocks), rules.access.clone()),
            gate,
            max_body,
        );
        let http = HttpApi {
            blocks: Arc::clone(blocks),
            health: health.clone(),
            token,
            rules: rules.apis.clone(),
            cors: Cors::new(
                self.config
                    .servers
                    .allowed_origins
                    .iter()
                    .map(String::as_str),
            ),
            shutdown,
            max_body,
            api_logging: rules.logging.clone(),
            pipeline: self.pipeline.clone(),
            metrics: self.metrics.http_server(),
            tracing: self.tracing.clone(),
        };
        Ok((Arc::new(http), services))
    }
}

/// Whether the sidecar runs in Kubernetes.
fn in_kubernetes(config: &Config) -> bool {
    config.mode == Mode::Kubernetes
}
