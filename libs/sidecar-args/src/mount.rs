//! Names and paths of what the injector mounts for the sidecar.

/// Name of the sidecar's container; other tools find it by that name.
pub const CONTAINER: &str = "daprd";
/// Volume of the token for sentry.
pub const TOKEN_VOLUME: &str = "dapr-identity-token";
/// Folder of that token in the sidecar.
pub const TOKEN_FOLDER: &str = "/var/run/secrets/dapr.io/sentrytoken";
/// Volume of the APIs' unix sockets.
pub const UNIX_SOCKETS_VOLUME: &str = "dapr-unix-domain-socket";
/// Folder of those sockets in the sidecar.
pub const UNIX_SOCKETS_FOLDER: &str = "/var/run/dapr-sockets";
/// Volume of pluggable components' sockets.
pub const COMPONENT_SOCKETS_VOLUME: &str = "dapr-components-unix-domain-socket";
/// Folder of those sockets unless something else says so.
pub const COMPONENT_SOCKETS_FOLDER: &str = "/tmp/dapr-components-sockets";
