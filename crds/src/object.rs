//! What every resource but Configuration looks like around its `spec`.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;
use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::component::Auth;
use crate::definition::object_metadata;
use crate::lenient::null_as_default;
use crate::{GROUP, V1ALPHA1};

/// A `spec`, and how the API calls the resource that it belongs to.
pub trait Spec: Clone + Default + Send + Sync + 'static {
    /// `kind` of the resource.
    const KIND: &'static str;
    /// The resource's name in the API's paths.
    const PLURAL: &'static str;
    /// Version in `apiVersion`.
    const VERSION: &'static str = V1ALPHA1;
    /// Whether the resource has `auth`, beside `spec`.
    const HAS_AUTH: bool = false;
    /// What the resource is, for the schema.
    const DESCRIPTION: &'static str;
}

/// A resource of the kind that `S` is the spec of.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, bound(deserialize = "S: Default + Deserialize<'de>"))]
#[schemars(bound = "S: Default + JsonSchema")]
pub struct Object<S> {
    /// Name, namespace and the rest of the object's metadata.
    #[schemars(schema_with = "object_metadata")]
    pub metadata: ObjectMeta,
    /// What the resource says.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: S,
    /// Where the secrets that `spec` refers to are kept.
    // In the schema of the kinds that have it, see `Spec::HAS_AUTH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// App ids that this resource is for; empty means every app of the namespace.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scopes: Vec<String>,
}

/// Whether a resource with these scopes is for the app: no scopes are every app of the namespace.
pub fn scopes_include(scopes: &[impl AsRef<str>], app_id: &str) -> bool {
    scopes.is_empty() || scopes.iter().any(|scope| scope.as_ref() == app_id)
}

// === impl Object ===

impl<S> Object<S> {
    /// A resource of that name and spec, without namespace, scopes or secret store.
    pub fn new(name: impl Into<String>, spec: S) -> Self {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            spec,
            auth: None,
            scopes: Vec::new(),
        }
    }

    /// Whether the resource is for the app.
    pub fn in_scope_of(&self, app_id: &str) -> bool {
        scopes_include(&self.scopes, app_id)
    }

    /// Name of the secret-store component in `auth`; empty when none is named.
    pub fn secret_store(&self) -> &str {
        self.auth.as_ref().map_or("", |auth| &auth.secret_store)
    }
}

impl<S: Spec + Serialize> Serialize for Object<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let fields = 4 + usize::from(self.auth.is_some()) + usize::from(!self.scopes.is_empty());
        let mut object = serializer.serialize_struct(S::KIND, fields)?;
        object.serialize_field("apiVersion", &format_args!("{GROUP}/{}", S::VERSION))?;
        object.serialize_field("kind", S::KIND)?;
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

impl<S: Spec> Resource for Object<S> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        S::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        S::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        S::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
