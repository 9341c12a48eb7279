//! Any object of the API server, as text.

use std::{borrow::Cow, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ApiResource;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use trilby_crds::ResourceStatus;

use super::Key;
use crate::reports::Version;

/// An object as the API server sent it. Decoding fails for nothing but broken JSON, so that one bad object in a
/// list or a watch spoils no other.
#[derive(Clone)]
pub(crate) struct Document {
    meta: ObjectMeta,
    text: Box<RawValue>,
    status: Option<ResourceStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Head<'a> {
    metadata: HeadMeta,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct HeadMeta {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
}

impl Document {
    pub(crate) fn key(&self) -> Key {
        Key {
            namespace: self.meta.namespace.as_deref().unwrap_or_default().into(),
            name: self.meta.name.as_deref().unwrap_or_default().into(),
        }
    }

    pub(crate) fn version(&self) -> Version {
        Version {
            uid: self.meta.uid.as_deref().unwrap_or_default().into(),
            generation: self.meta.generation.unwrap_or_default(),
        }
    }

    /// What its status says; `None` if it has none that can be read.
    pub(crate) fn status(&self) -> Option<ResourceStatus> {
        self.status.clone()
    }

    pub(crate) fn text(&self) -> &str {
        self.text.get()
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head<'_> = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
        let status = head.status.map(|status| serde_json::from_str(status.get()));
        let status = status.and_then(Result::ok);
        Ok(Self {
            meta: ObjectMeta {
                name: head.metadata.name,
                namespace: head.metadata.namespace,
                resource_version: head.metadata.resource_version,
                uid: head.metadata.uid,
                generation: head.metadata.generation,
                ..ObjectMeta::default()
            },
            text,
            status,
        })
    }
}

impl kube::Resource for Document {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold passwords that a user wrote inline.
        f.debug_tuple("Document").field(&self.key()).finish()
    }
}
