//! The environment, read once.

use std::net::IpAddr;
use std::path::PathBuf;

use trilby_go_syntax::truthy;
use trilby_sidecar_args::{env, mount};

use crate::channel::ProxyVariables;

/// The namespace of a sidecar whose environment names none.
const DEFAULT_NAMESPACE: &str = "default";

/// What the sidecar takes from its environment.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// The namespace; `default` unless set.
    pub namespace: String,
    /// Whether it was set: resources are filtered by a namespace only then.
    pub namespace_given: bool,
    /// The pod's name.
    pub pod_name: Option<String>,
    /// The address that others reach this host by.
    pub host_ip: Option<IpAddr>,
    /// The token that callers of the APIs must show; empty for none.
    pub api_token: String,
    /// A file with more of them.
    pub api_token_file: Option<PathBuf>,
    /// The token shown to the application; empty for none.
    pub app_token: String,
    /// The trust anchors, PEM.
    pub trust_anchors: Option<String>,
    /// The control plane's namespace, where no flag names it.
    pub control_plane_namespace: Option<String>,
    /// The control plane's trust domain, where no flag names it.
    pub control_plane_trust_domain: Option<String>,
    /// The name of the identity to ask for, instead of the app id.
    pub local_identity: Option<String>,
    /// Whether the HTTP API speaks HTTP/1.1 only.
    pub h2c_disabled: bool,
    /// Whether root is accepted inside a pod.
    pub root_allowed: bool,
    /// Names that components may read, if the list is limited.
    pub readable: Option<Vec<String>>,
    /// Where the sockets of pluggable components are; `None` for no such components.
    pub component_sockets: Option<PathBuf>,
    /// The proxies towards hosts outside.
    pub proxies: ProxyVariables,
    /// What `OTEL_*` says about tracing.
    pub tracing: trilby_telemetry::Variables,
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("environment variable {name} is {value:?}: {problem}")]
pub struct BadVariable {
    name: &'static str,
    value: String,
    problem: &'static str,
}

impl Environment {
    /// Reads it through `get`, which tests replace.
    ///
    /// # Errors
    /// A variable holds something unusable.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariable> {
        let given = |name: &str| get(name).filter(|value| !value.is_empty());
        let host_ip = given(env::HOST_IP).map(|value| {
            value.parse().map_err(|_| BadVariable {
                name: env::HOST_IP,
                value,
                problem: "it is not an IP address",
            })
        });
        let namespace = get(env::NAMESPACE);
        let either = |name: &str| given(name).or_else(|| given(&name.to_lowercase()));
        Ok(Self {
            namespace_given: namespace
                .as_ref()
                .is_some_and(|namespace| !namespace.is_empty()),
            namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            pod_name: given(env::POD_NAME),
            host_ip: host_ip.transpose()?,
            api_token: given(env::API_TOKEN).unwrap_or_default(),
            api_token_file: given(env::API_TOKEN_FILE).map(PathBuf::from),
            app_token: given(env::APP_TOKEN).unwrap_or_default(),
            trust_anchors: given(env::TRUST_ANCHORS),
            control_plane_namespace: given(env::CONTROL_PLANE_NAMESPACE),
            control_plane_trust_domain: given(env::CONTROL_PLANE_TRUST_DOMAIN),
            local_identity: given("SENTRY_LOCAL_IDENTITY"),
            h2c_disabled: given(env::HTTP_DISABLE_H2C).is_some_and(|value| truthy(&value)),
            root_allowed: trilby_bootstrap::root_allowed(&get),
            readable: given(env::ENV_KEYS)
                .map(|keys| keys.split_whitespace().map(str::to_owned).collect()),
            component_sockets: Some(
                given(env::COMPONENTS_SOCKETS_FOLDER)
                    .unwrap_or_else(|| mount::COMPONENT_SOCKETS_FOLDER.to_owned())
                    .into(),
            ),
            proxies: ProxyVariables {
                http: either("HTTP_PROXY").unwrap_or_default(),
                https: either("HTTPS_PROXY").unwrap_or_default(),
                none: either("NO_PROXY").unwrap_or_default(),
            },
            tracing: trilby_telemetry::Variables::read(&get),
        })
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("namespace", &self.namespace)
            .field("pod_name", &self.pod_name)
            .field("host_ip", &self.host_ip)
            .field("api_token", &!self.api_token.is_empty())
            .field("app_token", &!self.app_token.is_empty())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    fn read(pairs: &[(&str, &str)]) -> Environment {
        let get = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Environment::read(get).unwrap()
    }

    #[test]
    fn namespace_is_default_unless_set() {
        assert_eq!(read(&[]).namespace, "default");
        assert!(!read(&[]).namespace_given);
        assert_eq!(read(&[("NAMESPACE", "shop")]).namespace, "shop");
        assert_eq!(read(&[("NAMESPACE", "")]).namespace, "");
    }

    #[test]
    fn unusable_address_is_named() {
        let error = Environment::read(|name| (name == "DAPR_HOST_IP").then(|| "host".to_owned()))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable DAPR_HOST_IP is \"host\": it is not an IP address"
        );
    }

    #[test]
    fn proxies_are_named_in_capitals_or_not() {
        let capitals = read(&[
            ("HTTPS_PROXY", "a"),
            ("https_proxy", "b"),
            ("no_proxy", "c"),
        ]);
        assert_eq!(capitals.proxies.https, "a");
        assert_eq!(capitals.proxies.none, "c");
        assert_eq!(capitals.proxies.http, "");
    }

    #[test]
    fn tokens_do_not_appear_in_logs() {
        let environment = read(&[("DAPR_API_TOKEN", "hunter2"), ("APP_API_TOKEN", "hunter3")]);
        assert!(!format!("{environment:?}").contains("hunter"));
    }
}
