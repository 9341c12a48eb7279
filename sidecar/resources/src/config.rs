//! What the sidecar tells its resources.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use trilby_components::{registry::Registry, workload::WorkloadIdentity};
use trilby_grpc::Channel;

use crate::observer::Observer;

/// The namespace of a sidecar that is told none.
const DEFAULT_NAMESPACE: &str = "default";
/// The variables that components may read, separated by spaces; absent for all but the protected ones.
const READABLE: &str = "DAPR_ENV_KEYS";

/// How to load and follow resources.
pub struct Config {
    /// The application that the sidecar serves.
    pub app_id: String,
    /// The sidecar's namespace, when it is told one. Without one, resources of every namespace are its own.
    pub namespace: Option<String>,
    /// Where resources come from.
    pub source: Source,
    /// What can be created.
    pub registry: Registry,
    /// Whether a secret store `kubernetes` is there without a component of that name.
    pub kubernetes_secrets: bool,
    /// Time between two full comparisons with the operator; upstream's default is 60 s.
    pub reconcile_interval: Duration,
    /// How long the first load may take before it is an error; upstream tries 100 times for 5 s.
    pub first_load: Duration,
    /// The process' environment.
    pub environment: Environment,
    /// The sidecar's identity, for components that show it to their servers.
    pub identity: Option<Arc<dyn WorkloadIdentity>>,
    /// Who counts what happens.
    pub observer: Arc<dyn Observer>,
}

/// Where resources come from.
pub enum Source {
    /// The control plane: this is Kubernetes mode.
    Operator {
        /// To the operator, with the sidecar's identity.
        channel: Channel,
        /// The Configuration's name; `None` for defaults.
        configuration: Option<String>,
    },
    /// Files: this is self-hosted mode.
    Disk {
        /// Directories of manifests, not searched recursively.
        directories: Vec<PathBuf>,
        /// Configuration files, of which later ones win.
        configurations: Vec<PathBuf>,
    },
}

type Read = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment as components may see it.
#[derive(Clone)]
pub struct Environment(Arc<Read>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment {
    /// From a function that reads a variable, such as `|name| std::env::var(name).ok()`.
    pub fn new(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    /// Whether a component may read `name`: never the sidecar's own variables and the application's token,
    /// and only those of a list if there is one.
    pub(crate) fn lets_read(&self, name: &str) -> bool {
        let upper = name.to_uppercase();
        let protected = upper.is_empty()
            || upper == "APP_API_TOKEN"
            || upper.starts_with("DAPR_")
            || upper.contains(' ');
        let listed = || match self.get(READABLE) {
            Some(list) if !list.is_empty() => list.split_whitespace().any(|key| key == name),
            _ => true,
        };
        !protected && listed()
    }
}

impl Config {
    /// The namespace that requests and components are told.
    pub(crate) fn effective_namespace(&self) -> &str {
        match self.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => DEFAULT_NAMESPACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    fn lets_read(list: Option<&'static str>, name: &str) -> bool {
        let environment = Environment::new(move |name| {
            (name == "DAPR_ENV_KEYS").then(|| list.map(str::to_owned))?
        });
        environment.lets_read(name)
    }

    #[test]
    fn the_sidecars_own_variables_are_protected() {
        for name in [
            "",
            "APP_API_TOKEN",
            "app_api_token",
            "DAPR_API_TOKEN",
            "dapr_x",
            "A B",
        ] {
            assert!(!lets_read(None, name), "{name:?}");
        }
        assert!(lets_read(None, "REDIS_HOST"));
    }

    #[test]
    fn a_list_limits_what_may_be_read() {
        assert!(lets_read(Some("A REDIS_HOST"), "REDIS_HOST"));
        assert!(!lets_read(Some("A REDIS_HOST"), "OTHER"));
        assert!(!lets_read(Some("DAPR_API_TOKEN"), "DAPR_API_TOKEN"));
        assert!(lets_read(Some(""), "OTHER"));
    }
}
