//! What an installation says about every sidecar.

use std::{fmt, str::FromStr};

use k8s_openapi::api::core::v1::Toleration;

use super::{Profile, Requests};

/// Settings that are the same for every pod.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Namespace of the control plane.
    pub namespace: String,
    /// Trust domain of the control plane.
    pub trust_domain: String,
    /// DNS domain of the cluster.
    pub domain: String,
    /// Where actors are placed.
    pub actors: Actors,
    /// Name and address of an external reminders service.
    pub reminders: Option<(String, ServiceAddress)>,
    /// Whether sidecars are told of the scheduler.
    pub scheduler: bool,
    /// Whether sidecars get a token for sentry.
    pub token_volume: bool,
    /// The sidecar's container.
    pub sidecar: SidecarDefaults,
}

/// Where actors are placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actors {
    /// Nowhere: actors are off.
    Off,
    /// By placement.
    Placement(ServiceAddress),
    /// By another service.
    Service {
        /// Its name.
        name: String,
        /// Its address.
        address: ServiceAddress,
    },
}

/// The sidecar's container, where annotations say nothing else.
#[derive(Debug, Clone)]
pub struct SidecarDefaults {
    /// Image.
    pub image: String,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// `runAsNonRoot`.
    pub run_as_non_root: bool,
    /// `runAsUser`.
    pub run_as_user: Option<i64>,
    /// `runAsGroup`.
    pub run_as_group: Option<i64>,
    /// `readOnlyRootFilesystem`.
    pub read_only_root_filesystem: bool,
    /// Whether every capability is dropped.
    pub drop_all_capabilities: bool,
    /// Whether the pod's address is handed over.
    pub downward_api: bool,
    /// Whether it is a restartable init container.
    pub native: bool,
    /// How sound it is.
    pub profile: Profile,
    /// What it requests if it is hardened.
    pub requests: Requests,
    /// Tolerations of pods on nodes that ignore an image's entry point.
    pub ignore_entrypoint_tolerations: Vec<Toleration>,
    /// Folder of pluggable components' sockets.
    pub component_sockets_folder: String,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// Never.
    Never,
    /// Where it is missing.
    IfNotPresent,
}

/// A Service of the control plane, `name:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    name: String,
    port: u16,
}

/// Why a text is no [`ServiceAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form '<name>:<port>'")]
pub struct ServiceAddressError(String);

// === impl Cluster ===

impl Cluster {
    /// The full name and port of a Service of the control plane.
    pub(super) fn address(&self, service: &ServiceAddress) -> String {
        let ServiceAddress { name, port } = service;
        let (namespace, domain) = (&self.namespace, &self.domain);
        format!("{name}.{namespace}.svc.{domain}:{port}")
    }
}

// === impl PullPolicy ===

impl PullPolicy {
    /// Kubernetes' word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::Never => "Never",
            Self::IfNotPresent => "IfNotPresent",
        }
    }
}

// === impl ServiceAddress ===

impl ServiceAddress {
    /// A Service and its port.
    #[must_use]
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
        }
    }
}

impl FromStr for ServiceAddress {
    type Err = ServiceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').filter(|(name, _)| !name.is_empty());
        parts
            .and_then(|(name, port)| Some((name, port.parse().ok().filter(|&port| port > 0)?)))
            .map(|(name, port)| Self::new(name, port))
            .ok_or_else(|| ServiceAddressError(text.to_owned()))
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}
