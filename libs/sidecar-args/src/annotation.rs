//! Keys of the pod annotations that configure injection, and of the labels it leaves behind.

/// Asks for a sidecar.
pub const ENABLED: &str = "dapr.io/enabled";
/// The app id; the pod's name without it.
pub const APP_ID: &str = "dapr.io/app-id";
/// Port the app listens on.
pub const APP_PORT: &str = "dapr.io/app-port";
/// Protocol the app speaks.
pub const APP_PROTOCOL: &str = "dapr.io/app-protocol";
/// Deprecated: turns `http` into `https` and `grpc` into `grpcs`.
pub const APP_SSL: &str = "dapr.io/app-ssl";
/// Host the app listens on.
pub const APP_CHANNEL_ADDRESS: &str = "dapr.io/app-channel-address";
/// Calls into the app at one time.
pub const APP_MAX_CONCURRENCY: &str = "dapr.io/app-max-concurrency";
/// Secret whose key `token` the sidecar presents to the app.
pub const APP_TOKEN_SECRET: &str = "dapr.io/app-token-secret";
/// Secret whose key `token` callers of the sidecar must present.
pub const API_TOKEN_SECRET: &str = "dapr.io/api-token-secret";
/// How long input-binding discovery may take.
pub const APP_BINDING_OPTIONS_TIMEOUT: &str = "dapr.io/app-binding-options-timeout";
/// Name of the Configuration resource.
pub const CONFIG: &str = "dapr.io/config";
/// The sidecar's log level.
pub const LOG_LEVEL: &str = "dapr.io/log-level";
/// JSON logs.
pub const LOG_AS_JSON: &str = "dapr.io/log-as-json";
/// Logs each API call; unset leaves it to the Configuration.
pub const ENABLE_API_LOGGING: &str = "dapr.io/enable-api-logging";
/// Profiling endpoint.
pub const ENABLE_PROFILING: &str = "dapr.io/enable-profiling";
/// Metrics endpoint.
pub const ENABLE_METRICS: &str = "dapr.io/enable-metrics";
/// Port of the metrics endpoint.
pub const METRICS_PORT: &str = "dapr.io/metrics-port";
/// Runs the sidecar under a debugger.
pub const ENABLE_DEBUG: &str = "dapr.io/enable-debug";
/// Port of that debugger.
pub const DEBUG_PORT: &str = "dapr.io/debug-port";
/// Extra environment of the sidecar, `NAME=value,...`.
pub const ENV: &str = "dapr.io/env";
/// Extra environment of the sidecar from secrets, `NAME=secret:key,...`.
pub const ENV_FROM_SECRET: &str = "dapr.io/env-from-secret";
/// gRPC API port.
pub const GRPC_PORT: &str = "dapr.io/grpc-port";
/// Sidecar-to-sidecar port.
pub const INTERNAL_GRPC_PORT: &str = "dapr.io/internal-grpc-port";
/// Addresses of the APIs.
pub const SIDECAR_LISTEN_ADDRESSES: &str = "dapr.io/sidecar-listen-addresses";
/// Image of the sidecar.
pub const SIDECAR_IMAGE: &str = "dapr.io/sidecar-image";
/// CPU request.
pub const SIDECAR_CPU_REQUEST: &str = "dapr.io/sidecar-cpu-request";
/// CPU limit.
pub const SIDECAR_CPU_LIMIT: &str = "dapr.io/sidecar-cpu-limit";
/// Memory request.
pub const SIDECAR_MEMORY_REQUEST: &str = "dapr.io/sidecar-memory-request";
/// Memory limit.
pub const SIDECAR_MEMORY_LIMIT: &str = "dapr.io/sidecar-memory-limit";
/// Seccomp profile type.
pub const SIDECAR_SECCOMP_PROFILE_TYPE: &str = "dapr.io/sidecar-seccomp-profile-type";
/// Liveness probe: initial delay in seconds.
pub const SIDECAR_LIVENESS_PROBE_DELAY_SECONDS: &str =
    "dapr.io/sidecar-liveness-probe-delay-seconds";
/// Liveness probe: timeout in seconds.
pub const SIDECAR_LIVENESS_PROBE_TIMEOUT_SECONDS: &str =
    "dapr.io/sidecar-liveness-probe-timeout-seconds";
/// Liveness probe: period in seconds.
pub const SIDECAR_LIVENESS_PROBE_PERIOD_SECONDS: &str =
    "dapr.io/sidecar-liveness-probe-period-seconds";
/// Liveness probe: failures in a row.
pub const SIDECAR_LIVENESS_PROBE_THRESHOLD: &str = "dapr.io/sidecar-liveness-probe-threshold";
/// Readiness probe: initial delay in seconds.
pub const SIDECAR_READINESS_PROBE_DELAY_SECONDS: &str =
    "dapr.io/sidecar-readiness-probe-delay-seconds";
/// Readiness probe: timeout in seconds.
pub const SIDECAR_READINESS_PROBE_TIMEOUT_SECONDS: &str =
    "dapr.io/sidecar-readiness-probe-timeout-seconds";
/// Readiness probe: period in seconds.
pub const SIDECAR_READINESS_PROBE_PERIOD_SECONDS: &str =
    "dapr.io/sidecar-readiness-probe-period-seconds";
/// Readiness probe: failures in a row.
pub const SIDECAR_READINESS_PROBE_THRESHOLD: &str = "dapr.io/sidecar-readiness-probe-threshold";
/// Largest request body, in MB.
pub const HTTP_MAX_REQUEST_SIZE: &str = "dapr.io/http-max-request-size";
/// Largest request body, as a quantity.
pub const MAX_BODY_SIZE: &str = "dapr.io/max-body-size";
/// Largest request head, in KB.
pub const HTTP_READ_BUFFER_SIZE: &str = "dapr.io/http-read-buffer-size";
/// Largest request head, as a quantity.
pub const READ_BUFFER_SIZE: &str = "dapr.io/read-buffer-size";
/// Bound of a graceful shutdown, in seconds.
pub const GRACEFUL_SHUTDOWN_SECONDS: &str = "dapr.io/graceful-shutdown-seconds";
/// How long a shutdown keeps serving.
pub const BLOCK_SHUTDOWN_DURATION: &str = "dapr.io/block-shutdown-duration";
/// Folder, in the app's containers, of the APIs' unix sockets.
pub const UNIX_DOMAIN_SOCKET_PATH: &str = "dapr.io/unix-domain-socket-path";
/// Pod volumes to mount read-only in the sidecar, `name:path,...`.
pub const VOLUME_MOUNTS: &str = "dapr.io/volume-mounts";
/// Pod volumes to mount read-write in the sidecar, `name:path,...`.
pub const VOLUME_MOUNTS_RW: &str = "dapr.io/volume-mounts-rw";
/// Turns the built-in Kubernetes secret store off.
pub const DISABLE_BUILTIN_K8S_SECRET_STORE: &str = "dapr.io/disable-builtin-k8s-secret-store";
/// App health checks.
pub const ENABLE_APP_HEALTH_CHECK: &str = "dapr.io/enable-app-health-check";
/// App health check: path.
pub const APP_HEALTH_CHECK_PATH: &str = "dapr.io/app-health-check-path";
/// App health check: interval in seconds.
pub const APP_HEALTH_PROBE_INTERVAL: &str = "dapr.io/app-health-probe-interval";
/// App health check: timeout in milliseconds.
pub const APP_HEALTH_PROBE_TIMEOUT: &str = "dapr.io/app-health-probe-timeout";
/// App health check: failures in a row.
pub const APP_HEALTH_THRESHOLD: &str = "dapr.io/app-health-threshold";
/// Placement addresses; empty turns actors off.
pub const PLACEMENT_HOST_ADDRESS: &str = "dapr.io/placement-host-address";
/// Scheduler addresses; empty turns the scheduler off.
pub const SCHEDULER_HOST_ADDRESS: &str = "dapr.io/scheduler-host-address";
/// How long a dissemination round may take.
pub const ACTORS_DISSEMINATE_TIMEOUT: &str = "dapr.io/actors-disseminate-timeout";
/// App endpoints not asked at start.
pub const DISABLE_INIT_ENDPOINTS: &str = "dapr.io/disable-init-endpoints";
/// Audiences of the JWT asked from sentry.
pub const SENTRY_REQUEST_JWT_AUDIENCES: &str = "dapr.io/sentry-request-jwt-audiences";
/// Containers of this pod that are pluggable components.
pub const PLUGGABLE_COMPONENTS: &str = "dapr.io/pluggable-components";
/// Folder of pluggable components' sockets.
pub const PLUGGABLE_COMPONENTS_SOCKETS_FOLDER: &str = "dapr.io/pluggable-components-sockets-folder";
/// Injects the containers that Components declare.
pub const INJECT_PLUGGABLE_COMPONENTS: &str = "dapr.io/inject-pluggable-components";
/// On a Component: the container that serves it, as JSON.
pub const COMPONENT_CONTAINER: &str = "dapr.io/component-container";
/// Annotations for the app's Service.
pub const SIDECAR_SVC_ANNOTATIONS: &str = "dapr.io/sidecar-svc-annotations";
/// Sidecar as a restartable init container.
pub const ENABLE_NATIVE_SIDECAR: &str = "dapr.io/enable-native-sidecar";

/// Label left on an injected pod, value `true`.
pub const LABEL_SIDECAR_INJECTED: &str = "dapr.io/sidecar-injected";
/// Label with the app id.
pub const LABEL_APP_ID: &str = "dapr.io/app-id";
/// Label saying whether metrics are on, `true` or `false`.
pub const LABEL_METRICS_ENABLED: &str = "dapr.io/metrics-enabled";
