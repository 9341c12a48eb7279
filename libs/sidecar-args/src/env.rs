//! Names of the environment variables by which injector, sidecar and app know each other.

/// Namespace of the pod.
pub const NAMESPACE: &str = "NAMESPACE";
/// Name of the pod.
pub const POD_NAME: &str = "POD_NAME";
/// PEM of the trust anchors at injection.
pub const TRUST_ANCHORS: &str = "DAPR_TRUST_ANCHORS";
/// The control plane's namespace, where the flag is not given.
pub const CONTROL_PLANE_NAMESPACE: &str = "DAPR_CONTROLPLANE_NAMESPACE";
/// The control plane's trust domain, where the flag is not given.
pub const CONTROL_PLANE_TRUST_DOMAIN: &str = "DAPR_CONTROLPLANE_TRUST_DOMAIN";
/// Address the sidecar advertises.
pub const HOST_IP: &str = "DAPR_HOST_IP";
/// Space-separated names that components may read from the environment.
pub const ENV_KEYS: &str = "DAPR_ENV_KEYS";
/// Folder of pluggable components' sockets, as the injector and component containers call it.
pub const COMPONENT_SOCKETS_FOLDER: &str = "DAPR_COMPONENT_SOCKETS_FOLDER";
/// Folder of pluggable components' sockets, as the sidecar calls it.
pub const COMPONENTS_SOCKETS_FOLDER: &str = "DAPR_COMPONENTS_SOCKETS_FOLDER";
/// Token that callers of the sidecar's API present.
pub const API_TOKEN: &str = "DAPR_API_TOKEN";
/// File with further tokens of the sidecar's API, one a line; read again when it changes. Not upstream's.
pub const API_TOKEN_FILE: &str = "DAPR_API_TOKEN_FILE";
/// Token that the sidecar presents to the app.
pub const APP_TOKEN: &str = "APP_API_TOKEN";
/// Scheduler addresses, where the flag is not given.
pub const SCHEDULER_HOST_ADDRESS: &str = "DAPR_SCHEDULER_HOST_ADDRESS_DNS_A";
/// Turns HTTP/2 without TLS off on the HTTP API, if truthy.
pub const HTTP_DISABLE_H2C: &str = "DAPR_HTTP_DISABLE_H2C";
/// File with the token for sentry.
pub const SENTRY_TOKEN_FILE: &str = "DAPR_SENTRY_TOKEN_FILE";
/// Its presence on a Windows sidecar asks for rights to install certificates.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";

/// In the app: HTTP API port of its sidecar.
pub const APP_DAPR_HTTP_PORT: &str = "DAPR_HTTP_PORT";
/// In the app: gRPC API port of its sidecar.
pub const APP_DAPR_GRPC_PORT: &str = "DAPR_GRPC_PORT";
/// In the app: protocol its sidecar expects of it.
pub const APP_PROTOCOL: &str = "APP_PROTOCOL";
