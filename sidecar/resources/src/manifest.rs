//! A Component as this crate works with it.

use std::{fmt, time::Duration};

use trilby_crds::{Component, NameValuePair, ObjectMeta};
use trilby_go_syntax::parse_duration;

use crate::kind::{metadata_of, problem_with};
use crate::lenient;

/// Upstream's limit of initialising one component, also for unusable values.
const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The secret store that the operator resolves itself.
pub(crate) const KUBERNETES: &str = "kubernetes";

/// One Component that decoded. Compared by what a sidecar uses of it.
#[derive(Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// As written, such as `state.redis`.
    pub(crate) type_name: String,
    /// As written; empty for the type's default.
    pub(crate) version: String,
    pub(crate) ignore_errors: bool,
    pub(crate) init_timeout: Duration,
    pub(crate) properties: Vec<Property>,
    /// The secret store that `properties` refer to; empty when none is named.
    pub(crate) secret_store: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) revision: Revision,
}

/// One name and where its value is.
#[derive(Clone, PartialEq)]
pub(crate) struct Property {
    pub(crate) name: String,
    /// Empty for none.
    pub(crate) value: String,
    /// A secret's name and the key in it.
    pub(crate) secret: Option<(String, String)>,
    /// A variable, which counts without a value.
    pub(crate) env: Option<String>,
}

/// Tells an older state of an object from a newer one. Two revisions always compare equal: an object whose
/// revision alone changed is the same object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revision {
    uid: Option<String>,
    generation: Option<i64>,
}

/// What arrived under a component's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Received {
    /// A component.
    Manifest(Box<Manifest>),
    /// Something that is none.
    Broken {
        /// The name that it goes by.
        name: String,
        /// What is wrong.
        reason: String,
        /// As far as it says.
        revision: Revision,
    },
}

// === impl Manifest ===

impl Manifest {
    /// `name (type/version)`, as messages name a component.
    pub(crate) fn log_name(&self) -> String {
        format!("{} ({}/{})", self.name, self.type_name, self.version)
    }

    pub(crate) fn in_scope_of(&self, app_id: &str, namespace: Option<&str>) -> bool {
        let here = match namespace {
            None | Some("") => true,
            Some(namespace) => self.namespace.is_empty() || self.namespace == namespace,
        };
        here && (self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app_id))
    }

    /// Whether a rule of `components.deny` refuses it: a type, or a type and version.
    pub(crate) fn is_denied_by(&self, rules: &[String]) -> bool {
        if rules.is_empty() {
            return false;
        }
        let versioned = format!("{}/{}", self.type_name, self.version);
        let incomplete = self.type_name.is_empty() || self.version.is_empty();
        incomplete
            || rules
                .iter()
                .any(|rule| *rule == self.type_name || *rule == versioned)
    }
}

impl From<Component> for Manifest {
    fn from(component: Component) -> Self {
        let secret_store = component.secret_store().to_owned();
        let init_timeout = component.spec.init_timeout.as_deref().map(parse_duration);
        let metadata = component.metadata;
        Self {
            revision: Revision::of(&metadata),
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            type_name: component.spec.type_,
            version: component.spec.version,
            ignore_errors: component.spec.ignore_errors,
            init_timeout: match init_timeout {
                Some(Ok(limit)) if !limit.is_zero() => limit,
                _ => DEFAULT_INIT_TIMEOUT,
            },
            properties: component.spec.metadata.iter().map(Property::from).collect(),
            secret_store,
            scopes: component.scopes,
        }
    }
}

/// Values may be secrets: only names are shown.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.properties.iter().map(|property| &property.name);
        write!(f, "{} {:?}", self.log_name(), names.collect::<Vec<_>>())
    }
}

impl From<&NameValuePair> for Property {
    fn from(pair: &NameValuePair) -> Self {
        Self {
            name: pair.name.clone(),
            value: pair.text().into_owned(),
            secret: pair
                .secret()
                .map(|secret| (secret.name.clone(), secret.key().to_owned())),
            env: pair.env_ref.clone(),
        }
    }
}

// === impl Revision ===

impl Revision {
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
        }
    }

    /// Of one object, JSON, as far as it says; also of one that is not of its kind.
    pub(crate) fn read(json: &[u8]) -> Self {
        #[derive(Default, serde::Deserialize)]
        struct Object {
            metadata: ObjectMeta,
        }
        let object: Object = serde_json::from_slice(json).unwrap_or_default();
        Self::of(&object.metadata)
    }

    /// Empty if it has none.
    pub(crate) fn uid(&self) -> &str {
        self.uid.as_deref().unwrap_or_default()
    }

    /// 0 if it has none.
    pub(crate) fn generation(&self) -> i64 {
        self.generation.unwrap_or_default()
    }

    /// Whether this is an earlier state of the object that `other` is a state of.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.uid == other.uid && self.generation < other.generation
    }
}

impl PartialEq for Revision {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

// === impl Received ===

impl Received {
    /// Decodes one object, JSON. `None` when it does not even say its name; that is logged.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        let name = match metadata_of(json) {
            Ok(metadata) => metadata.name,
            Err(error) => {
                tracing::error!(%error, "received a component without a name, it is ignored");
                return None;
            }
        };
        if let Some(problem) = problem_with(&name) {
            let reason = format!("the name {name:?} {problem}");
            let revision = Revision::read(json);
            return Some(Self::Broken {
                name,
                reason,
                revision,
            });
        }
        Some(match lenient::from_slice::<Component>(json) {
            Ok(component) => Self::Manifest(Box::new(component.into())),
            Err(error) => Self::Broken {
                name,
                reason: format!("it is not a Component: {error}"),
                revision: Revision::read(json),
            },
        })
    }

    /// The name of one object, JSON.
    pub(crate) fn decode_name(json: &[u8]) -> Option<String> {
        metadata_of(json).ok().map(|metadata| metadata.name)
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Manifest(manifest) => &manifest.name,
            Self::Broken { name, .. } => name,
        }
    }

    pub(crate) fn revision(&self) -> &Revision {
        match self {
            Self::Manifest(manifest) => &manifest.revision,
            Self::Broken { revision, .. } => revision,
        }
    }
}

#[cfg(test)]
mod tests;
