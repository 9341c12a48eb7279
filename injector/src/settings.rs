//! What the environment says about the installation and every sidecar of it.

use std::{fmt::Display, fs, io, path::PathBuf, str::FromStr};

use k8s_openapi::{
    api::core::v1::Toleration, apimachinery::pkg::api::resource::Quantity as QuantityText,
};
use tracing::warn;
use trilby_go_syntax::truthy;
use trilby_sentry_client::{Mode, TokenSource};
use trilby_sidecar_args::{Quantity, env as contract, mount};

use crate::{
    injection::{Actors, Cluster, Profile, PullPolicy, Requests, ServiceAddress, SidecarDefaults},
    requester::Requesters,
};

mod cluster_domain;

/// Everything that the injector takes from its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the control plane.
    pub namespace: String,
    /// Trust domain of the control plane.
    pub trust_domain: String,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Sentry's `host:port`; empty is the Service of the control plane's namespace.
    pub sentry_address: String,
    /// File with the trust anchors.
    pub trust_anchors_file: PathBuf,
    /// What proves to sentry who the injector is.
    pub token: TokenSource,
    /// App id of the injector's own identity.
    pub app_id: String,
    /// Who may have sidecars injected.
    pub requesters: Requesters,
    /// Where actors are placed.
    pub actors: Actors,
    /// Name and address of an external reminders service.
    pub reminders: Option<(String, ServiceAddress)>,
    /// The only namespace whose Components are watched; nothing is all of them.
    pub watch_namespace: Option<String>,
    /// Whether what happens to pods is told in Kubernetes Events as well.
    pub events: bool,
    /// The sidecar's container.
    pub sidecar: SidecarDefaults,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad environment: {}", .0.join("; "))]
pub struct SettingsError(Vec<String>);

/// The Service that placement has unless something else is said.
const PLACEMENT: (&str, u16) = ("dapr-placement-server", 50005);

impl Settings {
    /// Reads the environment through `variable`.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut env = Environment {
            variable: &variable,
            problems: Vec::new(),
        };
        let settings = env.settings();
        match settings {
            Some(settings) if env.problems.is_empty() => Ok(settings),
            _ => Err(SettingsError(env.problems)),
        }
    }
}

impl Settings {
    /// What every injection needs of them, with whether there is a scheduler, and whether pods have tokens.
    #[must_use]
    pub fn cluster(&self, scheduler: bool, token_volume: bool) -> Cluster {
        Cluster {
            namespace: self.namespace.clone(),
            trust_domain: self.trust_domain.clone(),
            domain: self.cluster_domain.clone(),
            actors: self.actors.clone(),
            reminders: self.reminders.clone(),
            scheduler,
            token_volume,
            sidecar: self.sidecar.clone(),
        }
    }
}

struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Environment<'_> {
    /// `None` only where a problem was noted; all others are noted as well.
    fn settings(&mut self) -> Option<Settings> {
        let namespace = self.required("NAMESPACE");
        let requesters = self.requesters();
        let actors = self.actors();
        let reminders = self.reminders();
        let sidecar = self.sidecar();
        let token = self.token();
        Some(Settings {
            namespace: namespace?,
            requesters: requesters?,
            actors: actors?,
            reminders,
            watch_namespace: Some(self.text("WATCH_NAMESPACE")).filter(|name| !name.is_empty()),
            events: self.flag("EVENTS_ENABLED").unwrap_or(true),
            sidecar: sidecar?,
            token: token?,
            app_id: self.or("SENTRY_LOCAL_IDENTITY", "dapr-injector"),
            trust_domain: self.or("DAPR_CONTROL_PLANE_TRUST_DOMAIN", "cluster.local"),
            cluster_domain: self.cluster_domain(),
            sentry_address: match self.text("DAPR_SENTRY_ADDRESS") {
                address if !address.is_empty() => address,
                _ => format!("dapr-sentry.{}.svc:443", self.text("NAMESPACE")),
            },
            trust_anchors_file: self
                .or("DAPR_TRUST_ANCHORS_FILE", "/var/run/dapr.io/tls/ca.crt")
                .into(),
        })
    }

    /// Empty where unset.
    fn text(&self, name: &str) -> String {
        (self.variable)(name).unwrap_or_default()
    }

    fn or(&self, name: &str, default: &str) -> String {
        (self.variable)(name).unwrap_or_else(|| default.to_owned())
    }

    fn required(&mut self, name: &str) -> Option<String> {
        let value = self.text(name);
        if value.is_empty() {
            self.problem(name, "must be set");
            return None;
        }
        Some(value)
    }

    fn problem(&mut self, name: &str, reason: impl Display) {
        self.problems.push(format!("{name}: {reason}"));
    }

    /// Nothing where empty.
    fn flag(&self, name: &str) -> Option<bool> {
        let value = self.text(name);
        (!value.is_empty()).then(|| truthy(&value))
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.text(name);
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(reason) => {
                self.problem(name, format_args!("{value:?}: {reason}"));
                None
            }
        }
    }

    fn requesters(&mut self) -> Option<Requesters> {
        let allowed = "ALLOWED_SERVICE_ACCOUNTS";
        let prefixes = self.text("ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES");
        if !prefixes.is_empty() {
            warn!("ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES is deprecated: use {allowed}");
        }
        let list = [self.text(allowed), prefixes].join(",");
        Requesters::new(&list)
            .map_err(|reason| self.problem(allowed, reason))
            .ok()
    }

    fn token(&mut self) -> Option<TokenSource> {
        TokenSource::discover(Mode::Kubernetes, self.variable)
            .map_err(|reason| self.problems.push(reason.to_string()))
            .ok()
    }

    fn actors(&mut self) -> Option<Actors> {
        let enabled = self.flag("ACTORS_ENABLED").unwrap_or(true);
        let name = self.text("ACTORS_SERVICE_NAME");
        let address = match name.as_str() {
            "" => ServiceAddress::new(PLACEMENT.0, PLACEMENT.1),
            _ => self.parsed("ACTORS_SERVICE_ADDRESS")?,
        };
        Some(match name.as_str() {
            _ if !enabled => Actors::Off,
            "" | "placement" => Actors::Placement(address),
            _ => Actors::Service { name, address },
        })
    }

    /// `default` is the sidecar's own reminders, as nothing is.
    fn reminders(&mut self) -> Option<(String, ServiceAddress)> {
        let name = self.text("REMINDERS_SERVICE_NAME");
        if name.is_empty() || name == "default" {
            return None;
        }
        Some((name, self.parsed("REMINDERS_SERVICE_ADDRESS")?))
    }

    fn sidecar(&mut self) -> Option<SidecarDefaults> {
        let image = self.required("SIDECAR_IMAGE");
        let run_as_user = self.id("SIDECAR_RUN_AS_USER");
        let run_as_group = self.id("SIDECAR_RUN_AS_GROUP");
        Some(SidecarDefaults {
            image: image?,
            pull_policy: self.pull_policy(),
            run_as_non_root: self.flag("SIDECAR_RUN_AS_NON_ROOT").unwrap_or(true),
            run_as_user,
            run_as_group,
            read_only_root_filesystem: self
                .flag("SIDECAR_READ_ONLY_ROOT_FILESYSTEM")
                .unwrap_or(true),
            drop_all_capabilities: self
                .flag("SIDECAR_DROP_ALL_CAPABILITIES")
                .unwrap_or_default(),
            downward_api: self.flag("ENABLE_K8S_DOWNWARD_APIS").unwrap_or_default(),
            native: self.flag("NATIVE_SIDECAR_ENABLED").unwrap_or_default(),
            profile: self.profile(),
            requests: self.requests(),
            ignore_entrypoint_tolerations: self.tolerations(),
            component_sockets_folder: self.or(
                contract::COMPONENT_SOCKETS_FOLDER,
                mount::COMPONENT_SOCKETS_FOLDER,
            ),
        })
    }

    fn id(&mut self, name: &str) -> Option<i64> {
        if self.text(name).is_empty() {
            return None;
        }
        self.parsed(name)
    }

    fn profile(&mut self) -> Profile {
        let name = "SIDECAR_PROFILE";
        if self.text(name).is_empty() {
            return Profile::Default;
        }
        self.parsed(name).unwrap_or_default()
    }

    fn requests(&mut self) -> Requests {
        let mut requests = Requests::new();
        for (resource, name) in [
            ("cpu", "SIDECAR_CPU_REQUEST"),
            ("memory", "SIDECAR_MEMORY_REQUEST"),
        ] {
            let text = self.text(name);
            if !text.is_empty() && self.parsed::<Quantity>(name).is_some() {
                requests.insert(resource.to_owned(), QuantityText(text));
            }
        }
        requests
    }

    fn pull_policy(&self) -> PullPolicy {
        let name = "SIDECAR_IMAGE_PULL_POLICY";
        match (self.variable)(name).as_deref() {
            None | Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            Some("IfNotPresent") => PullPolicy::IfNotPresent,
            Some(other) => {
                warn!(
                    value = other,
                    "{name} is no pull policy, taking IfNotPresent"
                );
                PullPolicy::IfNotPresent
            }
        }
    }

    fn tolerations(&self) -> Vec<Toleration> {
        let name = "IGNORE_ENTRYPOINT_TOLERATIONS";
        let value = self.text(name);
        if value.is_empty() {
            return Vec::new();
        }
        serde_json::from_str(&value).unwrap_or_else(|error| {
            warn!(%error, "{name} is no JSON list of tolerations, ignored");
            Vec::new()
        })
    }

    fn cluster_domain(&self) -> String {
        let value = self.text("KUBE_CLUSTER_DOMAIN");
        if !value.is_empty() {
            return value;
        }
        cluster_domain::of(fs::read_to_string(cluster_domain::RESOLV_CONF)).unwrap_or_else(
            |error: io::Error| {
                warn!(%error, "cannot find the cluster's domain, taking the default");
                cluster_domain::DEFAULT.to_owned()
            },
        )
    }
}

#[cfg(test)]
mod tests;
