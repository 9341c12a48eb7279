//! Keys of the pod annotations that configure injection, and of the labels it leaves behind.

/// Declares the keys, and the list of them.
macro_rules! annotations {
    ($($(#[$doc:meta])+ $name:ident = $key:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $key;)+

        /// Every annotation that a pod may have.
        pub const ALL: &[&str] = &[$($key),+];
    };
}

annotations! {
    /// Asks for a sidecar.
    ENABLED = "dapr.io/enabled";
    /// The app id; the pod's name without it.
    APP_ID = "dapr.io/app-id";
    /// Port the app listens on.
    APP_PORT = "dapr.io/app-port";
    /// Protocol the app speaks.
    APP_PROTOCOL = "dapr.io/app-protocol";
    /// Deprecated: turns `http` into `https` and `grpc` into `grpcs`.
    APP_SSL = "dapr.io/app-ssl";
    /// Host the app listens on.
    APP_CHANNEL_ADDRESS = "dapr.io/app-channel-address";
    /// Calls into the app at one time.
    APP_MAX_CONCURRENCY = "dapr.io/app-max-concurrency";
    /// Secret whose key `token` the sidecar presents to the app.
    APP_TOKEN_SECRET = "dapr.io/app-token-secret";
    /// Secret whose key `token` callers of the sidecar must present.
    API_TOKEN_SECRET = "dapr.io/api-token-secret";
    /// How long input-binding discovery may take.
    APP_BINDING_OPTIONS_TIMEOUT = "dapr.io/app-binding-options-timeout";
    /// Name of the Configuration resource.
    CONFIG = "dapr.io/config";
    /// The sidecar's log level.
    LOG_LEVEL = "dapr.io/log-level";
    /// JSON logs.
    LOG_AS_JSON = "dapr.io/log-as-json";
    /// Logs each API call; unset leaves it to the Configuration.
    ENABLE_API_LOGGING = "dapr.io/enable-api-logging";
    /// Profiling endpoint.
    ENABLE_PROFILING = "dapr.io/enable-profiling";
    /// Metrics endpoint.
    ENABLE_METRICS = "dapr.io/enable-metrics";
    /// Port of the metrics endpoint.
    METRICS_PORT = "dapr.io/metrics-port";
    /// Runs the sidecar under a debugger.
    ENABLE_DEBUG = "dapr.io/enable-debug";
    /// Port of that debugger.
    DEBUG_PORT = "dapr.io/debug-port";
    /// Extra environment of the sidecar, `NAME=value,...`.
    ENV = "dapr.io/env";
    /// Extra environment of the sidecar from secrets, `NAME=secret:key,...`.
    ENV_FROM_SECRET = "dapr.io/env-from-secret";
    /// gRPC API port.
    GRPC_PORT = "dapr.io/grpc-port";
    /// Sidecar-to-sidecar port.
    INTERNAL_GRPC_PORT = "dapr.io/internal-grpc-port";
    /// Addresses of the APIs.
    SIDECAR_LISTEN_ADDRESSES = "dapr.io/sidecar-listen-addresses";
    /// Image of the sidecar.
    SIDECAR_IMAGE = "dapr.io/sidecar-image";
    /// CPU request.
    SIDECAR_CPU_REQUEST = "dapr.io/sidecar-cpu-request";
    /// CPU limit.
    SIDECAR_CPU_LIMIT = "dapr.io/sidecar-cpu-limit";
    /// Memory request.
    SIDECAR_MEMORY_REQUEST = "dapr.io/sidecar-memory-request";
    /// Memory limit.
    SIDECAR_MEMORY_LIMIT = "dapr.io/sidecar-memory-limit";
    /// Seccomp profile type.
    SIDECAR_SECCOMP_PROFILE_TYPE = "dapr.io/sidecar-seccomp-profile-type";
    /// Liveness probe: initial delay in seconds.
    SIDECAR_LIVENESS_PROBE_DELAY_SECONDS = "dapr.io/sidecar-liveness-probe-delay-seconds";
    /// Liveness probe: timeout in seconds.
    SIDECAR_LIVENESS_PROBE_TIMEOUT_SECONDS = "dapr.io/sidecar-liveness-probe-timeout-seconds";
    /// Liveness probe: period in seconds.
    SIDECAR_LIVENESS_PROBE_PERIOD_SECONDS = "dapr.io/sidecar-liveness-probe-period-seconds";
    /// Liveness probe: failures in a row.
    SIDECAR_LIVENESS_PROBE_THRESHOLD = "dapr.io/sidecar-liveness-probe-threshold";
    /// Readiness probe: initial delay in seconds.
    SIDECAR_READINESS_PROBE_DELAY_SECONDS = "dapr.io/sidecar-readiness-probe-delay-seconds";
    /// Readiness probe: timeout in seconds.
    SIDECAR_READINESS_PROBE_TIMEOUT_SECONDS = "dapr.io/sidecar-readiness-probe-timeout-seconds";
    /// Readiness probe: period in seconds.
    SIDECAR_READINESS_PROBE_PERIOD_SECONDS = "dapr.io/sidecar-readiness-probe-period-seconds";
    /// Readiness probe: failures in a row.
    SIDECAR_READINESS_PROBE_THRESHOLD = "dapr.io/sidecar-readiness-probe-threshold";
    /// Largest request body, in MB.
    HTTP_MAX_REQUEST_SIZE = "dapr.io/http-max-request-size";
    /// Largest request body, as a quantity.
    MAX_BODY_SIZE = "dapr.io/max-body-size";
    /// Largest request head, in KB.
    HTTP_READ_BUFFER_SIZE = "dapr.io/http-read-buffer-size";
    /// Largest request head, as a quantity.
    READ_BUFFER_SIZE = "dapr.io/read-buffer-size";
    /// Bound of a graceful shutdown, in seconds.
    GRACEFUL_SHUTDOWN_SECONDS = "dapr.io/graceful-shutdown-seconds";
    /// How long a shutdown keeps serving.
    BLOCK_SHUTDOWN_DURATION = "dapr.io/block-shutdown-duration";
    /// Folder, in the app's containers, of the APIs' unix sockets.
    UNIX_DOMAIN_SOCKET_PATH = "dapr.io/unix-domain-socket-path";
    /// Pod volumes to mount read-only in the sidecar, `name:path,...`.
    VOLUME_MOUNTS = "dapr.io/volume-mounts";
    /// Pod volumes to mount read-write in the sidecar, `name:path,...`.
    VOLUME_MOUNTS_RW = "dapr.io/volume-mounts-rw";
    /// Turns the built-in Kubernetes secret store off.
    DISABLE_BUILTIN_K8S_SECRET_STORE = "dapr.io/disable-builtin-k8s-secret-store";
    /// App health checks.
    ENABLE_APP_HEALTH_CHECK = "dapr.io/enable-app-health-check";
    /// App health check: path.
    APP_HEALTH_CHECK_PATH = "dapr.io/app-health-check-path";
    /// App health check: interval in seconds.
    APP_HEALTH_PROBE_INTERVAL = "dapr.io/app-health-probe-interval";
    /// App health check: timeout in milliseconds.
    APP_HEALTH_PROBE_TIMEOUT = "dapr.io/app-health-probe-timeout";
    /// App health check: failures in a row.
    APP_HEALTH_THRESHOLD = "dapr.io/app-health-threshold";
    /// Placement addresses; empty turns actors off.
    PLACEMENT_HOST_ADDRESS = "dapr.io/placement-host-address";
    /// Scheduler addresses; empty turns the scheduler off.
    SCHEDULER_HOST_ADDRESS = "dapr.io/scheduler-host-address";
    /// How long a dissemination round may take.
    ACTORS_DISSEMINATE_TIMEOUT = "dapr.io/actors-disseminate-timeout";
    /// App endpoints not asked at start.
    DISABLE_INIT_ENDPOINTS = "dapr.io/disable-init-endpoints";
    /// Audiences of the JWT asked from sentry.
    SENTRY_REQUEST_JWT_AUDIENCES = "dapr.io/sentry-request-jwt-audiences";
    /// Containers of this pod that are pluggable components.
    PLUGGABLE_COMPONENTS = "dapr.io/pluggable-components";
    /// Folder of pluggable components' sockets.
    PLUGGABLE_COMPONENTS_SOCKETS_FOLDER = "dapr.io/pluggable-components-sockets-folder";
    /// Injects the containers that Components declare.
    INJECT_PLUGGABLE_COMPONENTS = "dapr.io/inject-pluggable-components";
    /// Annotations for the app's Service.
    SIDECAR_SVC_ANNOTATIONS = "dapr.io/sidecar-svc-annotations";
    /// Sidecar as a restartable init container.
    ENABLE_NATIVE_SIDECAR = "dapr.io/enable-native-sidecar";
    /// Ours: `default` or `hardened`, see the injector's profiles.
    SIDECAR_PROFILE = "dapr.io/sidecar-profile";
    /// Ours: the pod is left as it is if it has no sidecar, neither told of nor made anew.
    LEAVE_WITHOUT_SIDECAR = "dapr.io/leave-without-sidecar";
}

/// On a Component: the container that serves it, as JSON.
pub const COMPONENT_CONTAINER: &str = "dapr.io/component-container";

/// Label left on an injected pod, value `true`.
pub const LABEL_SIDECAR_INJECTED: &str = "dapr.io/sidecar-injected";
/// Label with the app id.
pub const LABEL_APP_ID: &str = "dapr.io/app-id";
/// Label saying whether metrics are on, `true` or `false`.
pub const LABEL_METRICS_ENABLED: &str = "dapr.io/metrics-enabled";
