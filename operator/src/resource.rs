//! Resources as sidecars receive them: JSON of one custom resource, secrets filled in.
//!
//! The text that the API server sent is kept as it is and goes out as it came, to the byte, for every value that a
//! user wrote. Only what upstream adds is added: zero values that its types always carry, and the values of secrets.

mod component;
mod configuration;
mod document;
mod endpoint;
mod fill;
mod mcp;
mod object;
mod pair;
mod plain;

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use trilby_crds::{
    HttpEndpointSpec, McpServerSpec, ResiliencySpec, SecretKeyRef, Spec as _, SubscriptionSpec,
    V1ALPHA1, WorkflowAccessPolicySpec,
};

pub(crate) use document::Document;
use object::Object;

#[cfg(test)]
mod tests;

/// The kinds that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Component,
    Configuration,
    HttpEndpoint,
    McpServer,
    Resiliency,
    Subscription,
    WorkflowAccessPolicy,
}

/// Names one object of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// One value in one Secret of the resource's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecretRef {
    pub secret: Arc<str>,
    pub key: Box<str>,
}

/// What is known of a referenced value.
pub(crate) enum SecretValue<'a> {
    Found(&'a [u8]),
    /// The Secret exists and has no such key.
    NoKey,
    /// The Secret was never read: it does not exist, or cannot be read.
    NoSecret,
}

/// Looks up values that a resource refers to.
pub(crate) type Secrets<'a> = dyn Fn(&SecretRef) -> SecretValue<'a> + 'a;

/// One decoded resource, narrowed to what decides who gets it and which secrets it needs, beside its text.
pub(crate) struct Resource {
    pub kind: Kind,
    /// App ids that may see it; empty: all.
    pub scopes: Box<[Box<str>]>,
    /// Values it refers to, in the order in which it does.
    pub secrets: Box<[SecretRef]>,
    /// Without its status, which is none of a sidecar's business.
    text: Box<str>,
}

/// An object that is not a resource of its kind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(#[from] serde_json::Error);

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Component,
        Self::Configuration,
        Self::HttpEndpoint,
        Self::McpServer,
        Self::Resiliency,
        Self::Subscription,
        Self::WorkflowAccessPolicy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Component => "Component",
            Self::Configuration => "Configuration",
            Self::HttpEndpoint => HttpEndpointSpec::KIND,
            Self::McpServer => McpServerSpec::KIND,
            Self::Resiliency => ResiliencySpec::KIND,
            Self::Subscription => SubscriptionSpec::KIND,
            Self::WorkflowAccessPolicy => WorkflowAccessPolicySpec::KIND,
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Component => "components",
            Self::Configuration => "configurations",
            Self::HttpEndpoint => HttpEndpointSpec::PLURAL,
            Self::McpServer => McpServerSpec::PLURAL,
            Self::Resiliency => ResiliencySpec::PLURAL,
            Self::Subscription => SubscriptionSpec::PLURAL,
            Self::WorkflowAccessPolicy => WorkflowAccessPolicySpec::PLURAL,
        }
    }

    /// The version that is watched and served; the API server converts others to it.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Subscription => SubscriptionSpec::VERSION,
            _ => V1ALPHA1,
        }
    }
}

impl Resource {
    pub(crate) fn decode(kind: Kind, document: Document) -> Result<Self, DecodeError> {
        let needs = match kind {
            Kind::Component => component::needs(document.text())?,
            Kind::Configuration => configuration::needs(document.text())?,
            Kind::HttpEndpoint => endpoint::needs(document.text())?,
            Kind::McpServer => mcp::needs(document.text())?,
            Kind::Resiliency => plain::needs::<ResiliencySpec>(document.text())?,
            Kind::Subscription => plain::needs::<SubscriptionSpec>(document.text())?,
            Kind::WorkflowAccessPolicy => {
                plain::needs::<WorkflowAccessPolicySpec>(document.text())?
            }
        };
        let resource = Self {
            kind,
            scopes: needs.scopes,
            secrets: needs.secrets,
            text: without_status(document.text())?,
        };
        // What decodes also renders; found out here, where one object can be skipped.
        resource.try_render(&|_| SecretValue::NoSecret)?;
        Ok(resource)
    }

    /// Whether `other` is the same object in the same version. What the API server notes about each write does not
    /// count: a new status is no new version.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.text == other.text
            || match (essence(&self.text), essence(&other.text)) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            }
    }

    /// The JSON that sidecars receive.
    pub(crate) fn render(&self, secrets: &Secrets<'_>) -> Bytes {
        self.try_render(secrets)
            .expect("a text that rendered when it was decoded renders again")
    }

    /// What an event says instead of `rendered`, if that is not it: as upstream's, it names the kind only if the API server
    /// did. Replies always do.
    pub(crate) fn event(&self, rendered: &[u8]) -> Option<Bytes> {
        if Object::parse(&self.text).ok()?.get("kind").is_some() {
            return None;
        }
        let mut object = Object::parse(std::str::from_utf8(rendered).ok()?).ok()?;
        object.remove("apiVersion");
        object.remove("kind");
        serde_json::to_vec(&object).ok().map(Bytes::from)
    }

    fn try_render(&self, secrets: &Secrets<'_>) -> Result<Bytes, DecodeError> {
        let json = match self.kind {
            Kind::Component => component::render(&self.text, secrets)?,
            Kind::Configuration => configuration::render(&self.text, secrets)?,
            Kind::HttpEndpoint => endpoint::render(&self.text, secrets)?,
            Kind::McpServer => mcp::render(&self.text, secrets)?,
            Kind::Resiliency => plain::render::<ResiliencySpec>(&self.text)?,
            Kind::Subscription => plain::render::<SubscriptionSpec>(&self.text)?,
            Kind::WorkflowAccessPolicy => plain::render::<WorkflowAccessPolicySpec>(&self.text)?,
        };
        Ok(Bytes::from(json))
    }
}

fn without_status(text: &str) -> serde_json::Result<Box<str>> {
    let mut root = Object::parse(text)?;
    root.remove("status");
    serde_json::to_string(&root).map(String::into_boxed_str)
}

fn essence(text: &str) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.edit("metadata", |metadata| {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        Ok(())
    })?;
    root.remove("apiVersion");
    root.remove("kind");
    serde_json::to_string(&root)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl From<&SecretKeyRef> for SecretRef {
    fn from(reference: &SecretKeyRef) -> Self {
        Self {
            secret: reference.name.as_str().into(),
            key: reference.key().into(),
        }
    }
}

fn scopes(app_ids: Vec<String>) -> Box<[Box<str>]> {
    app_ids.into_iter().map(String::into_boxed_str).collect()
}

/// What a resource's text says beside its settings.
#[derive(Default)]
struct Needs {
    scopes: Box<[Box<str>]>,
    secrets: Box<[SecretRef]>,
}

/// The part of a Secret that is referred to. Its `Debug` shows keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretData(BTreeMap<Box<str>, Vec<u8>>);

impl SecretData {
    /// Keeps what `wanted` names of `data`.
    pub(crate) fn keep(
        data: impl IntoIterator<Item = (String, Vec<u8>)>,
        wanted: impl Fn(&str) -> bool,
    ) -> Self {
        Self(
            data.into_iter()
                .filter(|(key, _)| wanted(key))
                .map(|(key, value)| (key.into_boxed_str(), value))
                .collect(),
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
