//! Closed sets of words among the flags' values.

use std::{fmt, str::FromStr};

/// Where the sidecar runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Beside an app on a machine.
    #[default]
    Standalone,
    /// In a pod.
    Kubernetes,
}

/// A word that is no [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid mode: {0}")]
pub struct ModeError(String);

/// What the sidecar speaks with the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppProtocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 without TLS.
    H2c,
    /// gRPC without TLS.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
}

/// A word that is no [`AppProtocol`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for 'app-protocol': {0} (expected http, https, h2c, grpc or grpcs)")]
pub struct AppProtocolError(String);

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Every operation.
    Debug,
    /// Changes of state.
    #[default]
    Info,
    /// The unexpected, handled.
    Warn,
    /// What someone must act on.
    Error,
    /// What ends the process.
    Fatal,
}

/// A word that is no [`LogLevel`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid log level {0:?}: expected debug, info, warn, error or fatal")]
pub struct LogLevelError(String);

/// An endpoint of the app that the sidecar asks at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitEndpoint {
    /// `/dapr/config`.
    Config,
    /// `/dapr/subscribe`.
    Subscribe,
}

/// A word that is no [`InitEndpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for 'disable-init-endpoints': {0} (expected config or subscribe)")]
pub struct InitEndpointError(String);

// === impl Mode ===

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "standalone" => Ok(Self::Standalone),
            "kubernetes" => Ok(Self::Kubernetes),
            _ => Err(ModeError(text.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone => "standalone",
            Self::Kubernetes => "kubernetes",
        })
    }
}

// === impl AppProtocol ===

impl AppProtocol {
    /// The protocol with TLS, where there is such a one.
    #[must_use]
    pub fn with_tls(self) -> Self {
        match self {
            Self::Http => Self::Https,
            Self::Grpc => Self::Grpcs,
            other => other,
        }
    }
}

/// Case does not matter; nothing is `http`.
impl FromStr for AppProtocol {
    type Err = AppProtocolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "" | "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            "h2c" => Ok(Self::H2c),
            "grpc" => Ok(Self::Grpc),
            "grpcs" => Ok(Self::Grpcs),
            _ => Err(AppProtocolError(text.to_owned())),
        }
    }
}

impl fmt::Display for AppProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        })
    }
}

// === impl LogLevel ===

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "fatal" => Ok(Self::Fatal),
            _ => Err(LogLevelError(text.to_owned())),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        })
    }
}

// === impl InitEndpoint ===

impl FromStr for InitEndpoint {
    type Err = InitEndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "config" => Ok(Self::Config),
            "subscribe" => Ok(Self::Subscribe),
            _ => Err(InitEndpointError(text.to_owned())),
        }
    }
}
