//! `Component`: one building-block instance and its settings.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;
use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::definition::object_metadata;
use crate::lenient::{non_empty, null_as_default};
use crate::value::NameValuePair;
use crate::{API_VERSION_V1ALPHA1, GROUP, V1ALPHA1};

/// A building-block instance: what serves it, its settings, and the apps that may use it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Component {
    /// Name, namespace and the rest of the object's metadata.
    #[schemars(schema_with = "object_metadata")]
    pub metadata: ObjectMeta,
    /// What serves the building block, and its settings.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: ComponentSpec,
    /// Where the secrets that `spec.metadata` refers to are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// App ids that may use this component; empty means every app of the namespace.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scopes: Vec<String>,
}

/// What serves the building block, and its settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentSpec {
    /// Building block and technology, as `state.redis`.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub type_: String,
    /// Version of the component type, as `v1`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The component's settings.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: Vec<NameValuePair>,
    /// Whether a sidecar keeps running when this component cannot be initialised. Default: false.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub ignore_errors: bool,
    /// Time the component has to initialise, as a Go duration (`5s`, `1m30s`). Unset, unreadable or not positive: 5s.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub init_timeout: Option<String>,
}

/// Where secrets that a resource refers to are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Name of a secret-store component; empty means Kubernetes secrets when running on Kubernetes.
    #[serde(deserialize_with = "null_as_default")]
    pub secret_store: String,
}

// === impl Component ===

impl Component {
    /// A component of that name and spec, without namespace, scopes or secret store.
    pub fn new(name: impl Into<String>, spec: ComponentSpec) -> Self {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            spec,
            ..Self::default()
        }
    }

    /// Whether the app may use this component.
    pub fn in_scope_of(&self, app_id: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app_id)
    }

    /// Name of the secret-store component in `auth`; empty when none is named.
    pub fn secret_store(&self) -> &str {
        self.auth.as_ref().map_or("", |auth| &auth.secret_store)
    }
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 4 + usize::from(self.auth.is_some()) + usize::from(!self.scopes.is_empty());
        let mut object = serializer.serialize_struct("Component", fields)?;
        object.serialize_field("apiVersion", API_VERSION_V1ALPHA1)?;
        object.serialize_field("kind", "Component")?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        match &self.auth {
            Some(auth) => object.serialize_field("auth", auth)?,
            None => object.skip_field("auth")?,
        }
        match self.scopes.as_slice() {
            [] => object.skip_field("scopes")?,
            scopes => object.serialize_field("scopes", scopes)?,
        }
        object.end()
    }
}

impl Resource for Component {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Component".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        V1ALPHA1.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "components".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
