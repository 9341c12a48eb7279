//! Everything that the sidecar is told, checked once: flags and environment become plain data.

use std::path::PathBuf;
use std::time::Duration;

use trilby_bootstrap::{RunsAsRoot, user_id};
use trilby_sidecar_args::{AppProtocol, InitEndpoint, Mode, SidecarArgs, entries};

use crate::environment::Environment;

/// What one sidecar is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it runs.
    pub mode: Mode,
    /// The application's id.
    pub app_id: String,
    /// The application behind it; `None` without a port.
    pub app: Option<AppConfig>,
    /// The ports and addresses it serves on.
    pub servers: ServerConfig,
    /// The control plane.
    pub control_plane: ControlPlaneConfig,
    /// Where resources come from.
    pub resources: ResourceConfig,
    /// How it ends.
    pub ending: EndingConfig,
    /// Whether metrics are served, and so counted.
    pub metrics: bool,
    /// The environment.
    pub environment: Environment,
}

/// The application behind the sidecar.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it speaks.
    pub protocol: AppProtocol,
    /// Concurrent calls; `None` for no limit.
    pub max_concurrency: Option<usize>,
    /// How its health is asked; `None` if it is not.
    pub health: Option<HealthCheckConfig>,
    /// Whether it is asked for its configuration.
    pub asks_config: bool,
    /// How long it may take to say which input bindings it wants.
    pub binding_options_timeout: Duration,
    /// Whether it is asked what it subscribes to.
    pub asks_subscribe: bool,
}

/// How an application's health is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckConfig {
    /// The path, for HTTP applications.
    pub path: String,
    /// Time between two probes.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub threshold: u64,
}

/// Ports and addresses. Port 0 is any free one.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The HTTP API's port.
    pub http_port: u16,
    /// The gRPC API's port.
    pub grpc_port: u16,
    /// The addresses of both; none is every interface.
    pub addresses: Vec<String>,
    /// The folder of unix sockets that replace both ports.
    pub unix_sockets: Option<PathBuf>,
    /// The port for other sidecars; 0 is one derived from the application.
    pub internal_port: u16,
    /// Its address; empty is every interface.
    pub internal_address: String,
    /// The public port, if there is one.
    pub public_port: Option<u16>,
    /// Its address; empty is every interface.
    pub public_address: String,
    /// The port of profiles, on the addresses of the APIs, if they are offered.
    pub profile_port: Option<u16>,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The largest head of a request and of an application's answer, in bytes.
    pub max_head: usize,
    /// Origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// Whether calls to the APIs are logged; `None` leaves it to the Configuration.
    pub api_logging: Option<bool>,
}

/// The control plane and the identity it gives.
#[derive(Debug, Clone)]
pub struct ControlPlaneConfig {
    /// Sentry's `host:port`.
    pub sentry_address: String,
    /// The operator's `host:port`.
    pub operator_address: String,
    /// Placement's addresses; none turns actors off.
    pub placement_addresses: Vec<String>,
    /// How long a dissemination round may take.
    pub disseminate_timeout: Duration,
    /// Its trust domain.
    pub trust_domain: String,
    /// Its namespace.
    pub namespace: String,
    /// mTLS between sidecars.
    pub mtls: bool,
    /// Audiences of the JWTs asked for.
    pub jwt_audiences: Vec<String>,
}

/// Where resources come from.
#[derive(Debug, Clone)]
pub struct ResourceConfig {
    /// Folders, outside Kubernetes.
    pub paths: Vec<PathBuf>,
    /// The Configuration's name in Kubernetes, else files of which later ones win.
    pub configurations: Vec<String>,
    /// Time between two full comparisons with the source.
    pub reconcile_interval: Duration,
    /// Whether the built-in Kubernetes secret store is there.
    pub kubernetes_secrets: bool,
}

/// How the sidecar ends.
#[derive(Debug, Clone, Copy)]
pub struct EndingConfig {
    /// How long open requests may take; `None` is without limit.
    pub grace: Option<Duration>,
    /// How long it keeps serving after it was told to end.
    pub block: Option<Duration>,
}

/// Settings that cannot work, all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct InvalidConfig(Vec<String>);

impl Config {
    /// Checks flags and environment, and warns of what has no effect here.
    ///
    /// # Errors
    /// Names every setting that cannot work.
    pub fn new(args: &SidecarArgs, environment: Environment) -> Result<Self, InvalidConfig> {
        warn_of_absent_parts(args);
        let mut problems = problems(args, &environment);
        let config =
            Self::convert(args, environment).map_err(|error| problems.push(error.to_string()));
        match config {
            Ok(config) if problems.is_empty() => Ok(config),
            _ => Err(InvalidConfig(problems)),
        }
    }

    fn convert(args: &SidecarArgs, environment: Environment) -> anyhow::Result<Self> {
        Ok(Self {
            mode: args.mode,
            app_id: args.app.app_id.clone(),
            app: app(args)?,
            servers: servers(args)?,
            control_plane: control_plane(args, &environment)?,
            resources: ResourceConfig {
                paths: args
                    .resources
                    .paths()
                    .into_iter()
                    .map(PathBuf::from)
                    .collect(),
                configurations: args
                    .resources
                    .configurations()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                reconcile_interval: args.resources.reconcile_interval()?,
                kubernetes_secrets: !args.resources.disable_builtin_k8s_secret_store,
            },
            ending: EndingConfig {
                grace: args.process.grace(),
                block: args.process.block_shutdown()?,
            },
            metrics: args.observability.enable_metrics,
            environment,
        })
    }

    /// Whether an identity is needed: always in Kubernetes, for the control plane accepts no one without.
    pub fn needs_identity(&self) -> bool {
        self.control_plane.mtls || self.mode == Mode::Kubernetes
    }
}

fn app(args: &SidecarArgs) -> anyhow::Result<Option<AppConfig>> {
    let disabled = args.resources.disabled_endpoints()?;
    if args.app.app_port == 0 {
        return Ok(None);
    }
    let health = &args.app.health;
    let health = health.enable_app_health_check.then(|| HealthCheckConfig {
        path: format!("/{}", health.app_health_check_path.trim_start_matches('/')),
        interval: health.interval(),
        timeout: health.timeout(),
        threshold: health.threshold(),
    });
    Ok(Some(AppConfig {
        host: args.app.app_channel_address.clone(),
        port: args.app.app_port,
        protocol: args.app.protocol()?,
        max_concurrency: args.app.max_concurrency(),
        health,
        asks_config: !disabled.contains(&InitEndpoint::Config),
        binding_options_timeout: args.app.binding_options_timeout()?,
        asks_subscribe: !disabled.contains(&InitEndpoint::Subscribe),
    }))
}

fn servers(args: &SidecarArgs) -> anyhow::Result<ServerConfig> {
    let api = &args.api;
    let list = |list: &trilby_sidecar_args::CommaList| list.iter().map(str::to_owned).collect();
    Ok(ServerConfig {
        http_port: api.dapr_http_port,
        grpc_port: api.dapr_grpc_port,
        addresses: list(&api.dapr_listen_addresses),
        unix_sockets: (!api.unix_domain_socket.is_empty())
            .then(|| PathBuf::from(&api.unix_domain_socket)),
        internal_port: api.dapr_internal_grpc_port,
        internal_address: api.dapr_internal_grpc_listen_address.clone(),
        public_port: (api.dapr_public_port != 0).then_some(api.dapr_public_port),
        public_address: api.dapr_public_listen_address.clone(),
        profile_port: (args.observability.enable_profiling)
            .then_some(args.observability.profile_port),
        max_body: api.body_limit()?,
        max_head: api.read_buffer()?,
        allowed_origins: list(&api.allowed_origins),
        api_logging: api.enable_api_logging,
    })
}

fn control_plane(
    args: &SidecarArgs,
    environment: &Environment,
) -> anyhow::Result<ControlPlaneConfig> {
    let flags = &args.control_plane;
    let disseminate_timeout = flags.disseminate_timeout()?;
    anyhow::ensure!(
        !disseminate_timeout.is_zero(),
        "invalid value for 'actors-disseminate-timeout' option: must be positive, got 0s"
    );
    Ok(ControlPlaneConfig {
        sentry_address: flags.sentry_address.clone(),
        operator_address: flags.control_plane_address.clone(),
        placement_addresses: flags
            .placement_addresses()
            .iter()
            .map(str::to_owned)
            .collect(),
        disseminate_timeout,
        trust_domain: fallback(
            &flags.control_plane_trust_domain,
            "localhost",
            &environment.control_plane_trust_domain,
        ),
        namespace: fallback(
            &flags.control_plane_namespace,
            "default",
            &environment.control_plane_namespace,
        ),
        mtls: flags.enable_mtls,
        jwt_audiences: entries(&flags.sentry_request_jwt_audiences)
            .map(str::to_owned)
            .collect(),
    })
}

/// The environment's value where the flag has its default.
fn fallback(flag: &str, default: &str, environment: &Option<String>) -> String {
    match environment {
        Some(value) if flag == default => value.clone(),
        _ => flag.to_owned(),
    }
}

fn problems(args: &SidecarArgs, environment: &Environment) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |wrong: bool, text: String| {
        if wrong {
            problems.push(text);
        }
    };
    let (app, api) = (&args.app, &args.api);
    let standalone = args.mode == Mode::Standalone;
    check(
        app.app_id.is_empty(),
        "parameter app-id cannot be empty".into(),
    );
    check(
        standalone && app.app_id.contains('.'),
        "parameter app-id cannot contain dots".into(),
    );
    for (flag, port) in [
        ("dapr-http-port", api.dapr_http_port),
        ("dapr-grpc-port", api.dapr_grpc_port),
    ] {
        let conflict = app.app_port != 0 && app.app_port == port;
        check(
            conflict,
            format!("the '{flag}' argument value {port} conflicts with 'app-port'"),
        );
    }
    let health = &app.health;
    check(
        health.timeout() > health.interval(),
        "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'".into(),
    );
    check(
        args.control_plane.scheduler_job_streams < 1,
        "scheduler-job-streams must be at least 1".into(),
    );
    let needs_identity = !standalone || args.control_plane.enable_mtls;
    check(
        needs_identity && environment.trust_anchors.is_none(),
        "trust anchors are required".into(),
    );
    check(
        needs_identity && args.control_plane.sentry_address.is_empty(),
        "sentry-address is required for mTLS and in Kubernetes".into(),
    );
    check(
        !standalone && args.control_plane.control_plane_address.is_empty(),
        "control-plane-address is required in Kubernetes".into(),
    );
    check(
        !standalone && !environment.root_allowed && user_id() == Some(0),
        RunsAsRoot.to_string(),
    );
    problems
}

/// Flags whose part is not there yet, and what follows from that.
pub const ABSENT: [(&str, &str); 1] = [(
    "scheduler-host-address",
    "there are no jobs and no actor reminders",
)];

/// Names each flag that was given although its part is not there, so that nobody relies on it.
fn warn_of_absent_parts(args: &SidecarArgs) {
    let scheduler = entries(&args.control_plane.scheduler_host_address)
        .next()
        .is_some();
    let given = [scheduler];
    let absent = given.iter().zip(ABSENT).filter(|(given, _)| **given);
    for (_, (flag, consequence)) in absent {
        tracing::warn!(
            "flag --{flag} has no effect: its part is not there yet in Trilby, so {consequence}"
        );
    }
    for (flag, instead) in deprecated(args) {
        tracing::warn!("flag --{flag} is deprecated: use {instead}");
    }
    for flag in args.control_plane.without_effect() {
        tracing::warn!("flag --{flag} is deprecated and has no effect");
    }
}

/// Flags that were given and have a better way to say the same.
fn deprecated(args: &SidecarArgs) -> Vec<(&'static str, &'static str)> {
    let (app, api) = (&args.app, &args.api);
    let all = [
        (app.app_ssl, ("app-ssl", "--app-protocol https|grpcs")),
        (
            !args.resources.components_path.is_empty(),
            ("components-path", "--resources-path"),
        ),
        (
            api.dapr_http_max_request_size.is_some(),
            ("dapr-http-max-request-size", "--max-body-size"),
        ),
        (
            api.dapr_http_read_buffer_size.is_some(),
            ("dapr-http-read-buffer-size", "--read-buffer-size"),
        ),
    ];
    all.into_iter()
        .filter_map(|(given, names)| given.then_some(names))
        .collect()
}

#[cfg(test)]
mod tests;
