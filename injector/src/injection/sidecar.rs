//! What to run beside an app: annotations on top of the installation's defaults.

use trilby_sidecar_args::{
    ApiArgs, AppArgs, AppHealthArgs, CommaList, ControlPlaneArgs, Mode, ObservabilityArgs,
    ProcessArgs, Quantity, ResourceArgs, SidecarArgs, Written, annotation, mount, port,
};

use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};

use super::{
    Actors, Cluster, Live, Profile, Refusal, ServiceAddress,
    annotations::Annotations,
    components::{self, Components},
    environment::{self, Extra},
    probes::{self, ProbeTimes},
    profile, resources, security,
};

/// Upstream's default: both loopbacks.
const LISTEN_ADDRESSES: &str = "[::1],127.0.0.1";

/// The control plane's Services that every sidecar knows.
const OPERATOR: (&str, u16) = ("dapr-api", 443);
const SENTRY: (&str, u16) = ("dapr-sentry", 443);
const SCHEDULER: (&str, u16) = ("dapr-scheduler-server-a", 443);

/// One sidecar, ready to be written as a container.
pub(super) struct Sidecar<'a> {
    pub(super) args: SidecarArgs,
    pub(super) image: String,
    pub(super) profile: Profile,
    pub(super) native: bool,
    pub(super) readiness: ProbeTimes,
    pub(super) liveness: ProbeTimes,
    pub(super) resources: ResourceRequirements,
    pub(super) seccomp_profile: Option<&'a str>,
    pub(super) extra: Extra,
    /// Secret with the token that callers present.
    pub(super) api_token_secret: Option<&'a str>,
    /// Secret with the token that the app is shown.
    pub(super) app_token_secret: Option<&'a str>,
    /// Folder of the APIs' sockets in the app's containers.
    pub(super) unix_sockets: Option<&'a str>,
    pub(super) components: Option<Components<'a>>,
}

impl<'a> Sidecar<'a> {
    pub(super) fn read(
        annotations: &mut Annotations<'a>,
        (app_id, pod): (&str, &Pod),
        cluster: &'a Cluster,
        live: Live<'_>,
    ) -> Result<Self, Refusal> {
        no_debugger(annotations);
        let profile = profile::read(annotations, cluster);
        Ok(Self {
            args: SidecarArgs {
                mode: Mode::Kubernetes,
                app: app(annotations, app_id),
                api: api(annotations)?,
                control_plane: control_plane(annotations, cluster, live),
                resources: loaded(annotations),
                observability: observability(annotations)?,
                process: process(annotations),
            },
            image: image(annotations, cluster)?,
            profile,
            native: profile::native(annotations, profile, cluster, live),
            readiness: probes::readiness_times(annotations),
            liveness: probes::liveness_times(annotations),
            resources: resources::read(annotations, profile, cluster),
            seccomp_profile: security::seccomp(annotations, profile),
            extra: environment::extra(annotations),
            api_token_secret: annotations.filled(annotation::API_TOKEN_SECRET),
            app_token_secret: annotations.filled(annotation::APP_TOKEN_SECRET),
            unix_sockets: annotations.filled(annotation::UNIX_DOMAIN_SOCKET_PATH),
            components: components::read(annotations, (app_id, pod), cluster, live)?,
        })
    }
}

impl Sidecar<'_> {
    /// Whether it comes before all other containers, which wait until it has started.
    pub(super) fn is_first(&self) -> bool {
        self.native && self.profile == Profile::Hardened
    }
}

fn app(annotations: &mut Annotations<'_>, app_id: &str) -> AppArgs {
    let default = AppArgs::default();
    AppArgs {
        app_id: app_id.to_owned(),
        // Below 0 is no app, as 0 is.
        app_port: annotations
            .number::<i64>(annotation::APP_PORT)
            .map_or(0, |port| app_port(annotations, port)),
        app_protocol: annotations
            .written(annotation::APP_PROTOCOL)
            .unwrap_or(default.app_protocol),
        app_ssl: annotations.flag(annotation::APP_SSL).unwrap_or_default(),
        app_channel_address: annotations
            .filled(annotation::APP_CHANNEL_ADDRESS)
            .map_or(default.app_channel_address, str::to_owned),
        app_max_concurrency: annotations.number(annotation::APP_MAX_CONCURRENCY),
        app_binding_options_timeout: annotations.written(annotation::APP_BINDING_OPTIONS_TIMEOUT),
        health: health(annotations),
    }
}

fn app_port(annotations: &mut Annotations<'_>, port: i64) -> u16 {
    u16::try_from(port.max(0)).unwrap_or_else(|_| {
        let reason = format_args!("{port} is not a port (1 to 65535); ignored");
        annotations.warn(annotation::APP_PORT, reason);
        0
    })
}

fn health(annotations: &mut Annotations<'_>) -> AppHealthArgs {
    let default = AppHealthArgs::default();
    AppHealthArgs {
        enable_app_health_check: annotations
            .flag(annotation::ENABLE_APP_HEALTH_CHECK)
            .unwrap_or_default(),
        app_health_check_path: annotations
            .text(annotation::APP_HEALTH_CHECK_PATH)
            .map_or(default.app_health_check_path, str::to_owned),
        app_health_probe_interval: annotations
            .number(annotation::APP_HEALTH_PROBE_INTERVAL)
            .unwrap_or(default.app_health_probe_interval),
        app_health_probe_timeout: annotations
            .number(annotation::APP_HEALTH_PROBE_TIMEOUT)
            .unwrap_or(default.app_health_probe_timeout),
        app_health_threshold: annotations
            .number(annotation::APP_HEALTH_THRESHOLD)
            .unwrap_or(default.app_health_threshold),
    }
}

fn api(annotations: &mut Annotations<'_>) -> Result<ApiArgs, Refusal> {
    let unix_sockets = annotations.filled(annotation::UNIX_DOMAIN_SOCKET_PATH);
    Ok(ApiArgs {
        dapr_http_port: port::HTTP,
        dapr_grpc_port: annotations.port(annotation::GRPC_PORT, port::GRPC)?,
        dapr_internal_grpc_port: annotations
            .port(annotation::INTERNAL_GRPC_PORT, port::INTERNAL_GRPC)?,
        dapr_listen_addresses: annotations
            .text(annotation::SIDECAR_LISTEN_ADDRESSES)
            .unwrap_or(LISTEN_ADDRESSES)
            .into(),
        dapr_public_port: port::PUBLIC,
        unix_domain_socket: unix_sockets
            .map(|_| mount::UNIX_SOCKETS_FOLDER.to_owned())
            .unwrap_or_default(),
        max_body_size: quantity(annotations, annotation::MAX_BODY_SIZE),
        dapr_http_max_request_size: annotations.number(annotation::HTTP_MAX_REQUEST_SIZE),
        read_buffer_size: quantity(annotations, annotation::READ_BUFFER_SIZE),
        dapr_http_read_buffer_size: annotations.number(annotation::HTTP_READ_BUFFER_SIZE),
        enable_api_logging: annotations.flag(annotation::ENABLE_API_LOGGING),
        ..ApiArgs::default()
    })
}

fn control_plane(
    annotations: &mut Annotations<'_>,
    cluster: &Cluster,
    live: Live<'_>,
) -> ControlPlaneArgs {
    let service = |(name, port)| cluster.address(&ServiceAddress::new(name, port));
    let (placement, actors_service) = actors(annotations, cluster);
    let scheduler = match annotations.text(annotation::SCHEDULER_HOST_ADDRESS) {
        Some(address) => Some(CommaList::from(unquoted(address))),
        None => cluster.scheduler.then(|| service(SCHEDULER).into()),
    };
    ControlPlaneArgs {
        control_plane_address: service(OPERATOR),
        sentry_address: service(SENTRY),
        sentry_request_jwt_audiences: list(
            annotations.filled(annotation::SENTRY_REQUEST_JWT_AUDIENCES),
        ),
        enable_mtls: live.mtls,
        placement_host_address: placement.into(),
        actors_service,
        reminders_service: reminders(cluster),
        scheduler_host_address: scheduler.into_iter().collect(),
        actors_disseminate_timeout: annotations.written(annotation::ACTORS_DISSEMINATE_TIMEOUT),
        ..ControlPlaneArgs::default()
    }
}

/// Placement's address, and the service that stands in for placement. An annotation decides alone about the former.
fn actors(annotations: &Annotations<'_>, cluster: &Cluster) -> (String, String) {
    let annotated = annotations
        .text(annotation::PLACEMENT_HOST_ADDRESS)
        .map(|address| unquoted(address).to_owned());
    match &cluster.actors {
        Actors::Off => (annotated.unwrap_or_default(), String::new()),
        Actors::Placement(address) => {
            let address = annotated.unwrap_or_else(|| cluster.address(address));
            (address, String::new())
        }
        Actors::Service { name, address } => {
            let service = format!("{name}:{}", cluster.address(address));
            (annotated.unwrap_or_default(), service)
        }
    }
}

fn reminders(cluster: &Cluster) -> String {
    let service = cluster.reminders.as_ref();
    service
        .map(|(name, address)| format!("{name}:{}", cluster.address(address)))
        .unwrap_or_default()
}

fn loaded(annotations: &mut Annotations<'_>) -> ResourceArgs {
    let args = ResourceArgs {
        config: list(annotations.filled(annotation::CONFIG)),
        disable_builtin_k8s_secret_store: annotations
            .flag(annotation::DISABLE_BUILTIN_K8S_SECRET_STORE)
            .unwrap_or_default(),
        disable_init_endpoints: list(annotations.text(annotation::DISABLE_INIT_ENDPOINTS)),
        ..ResourceArgs::default()
    };
    if let Err(reason) = args.disabled_endpoints() {
        let reason = format_args!("{reason}; passed on to the sidecar");
        annotations.warn(annotation::DISABLE_INIT_ENDPOINTS, reason);
    }
    args
}

fn observability(annotations: &mut Annotations<'_>) -> Result<ObservabilityArgs, Refusal> {
    let default = ObservabilityArgs::default();
    Ok(ObservabilityArgs {
        log_level: annotations
            .written(annotation::LOG_LEVEL)
            .unwrap_or(default.log_level),
        log_as_json: annotations
            .flag(annotation::LOG_AS_JSON)
            .unwrap_or_default(),
        enable_metrics: annotations
            .flag(annotation::ENABLE_METRICS)
            .unwrap_or(default.enable_metrics),
        metrics_port: annotations.port(annotation::METRICS_PORT, port::METRICS)?,
        enable_profiling: annotations
            .flag(annotation::ENABLE_PROFILING)
            .unwrap_or_default(),
        ..ObservabilityArgs::default()
    })
}

fn process(annotations: &mut Annotations<'_>) -> ProcessArgs {
    ProcessArgs {
        // Always written; below 0 leaves it to the sidecar.
        dapr_graceful_shutdown_seconds: annotations
            .number(annotation::GRACEFUL_SHUTDOWN_SECONDS)
            .unwrap_or(-1),
        dapr_block_shutdown_duration: annotations.written(annotation::BLOCK_SHUTDOWN_DURATION),
        ..ProcessArgs::default()
    }
}

fn image(annotations: &Annotations<'_>, cluster: &Cluster) -> Result<String, Refusal> {
    let annotated = annotations.text(annotation::SIDECAR_IMAGE);
    let image = annotated.unwrap_or(&cluster.sidecar.image);
    if image.is_empty() {
        return Err(Refusal::NoImage);
    }
    Ok(image.to_owned())
}

/// Upstream runs the sidecar under a debugger for Go programs then, which a sidecar of ours has no use for.
fn no_debugger(annotations: &mut Annotations<'_>) {
    if annotations.flag(annotation::ENABLE_DEBUG) == Some(true) {
        let reason = format_args!(
            "the sidecar has no debugger, and runs as usual; {} shows what it does",
            annotation::ENABLE_PROFILING
        );
        annotations.warn(annotation::ENABLE_DEBUG, reason);
    }
}

fn list(text: Option<&str>) -> Vec<CommaList> {
    text.map(CommaList::from).into_iter().collect()
}

fn quantity(annotations: &mut Annotations<'_>, key: &str) -> Option<Written<Quantity>> {
    annotations.filled(key)?;
    annotations.written(key)
}

/// Without the quotes that templates leave around an empty value.
fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'']).trim()
}
