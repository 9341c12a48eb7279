//! From a manifest's properties to the metadata that a component is created with: variables, secrets,
//! templates.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tracing::warn;
use trilby_components::{RequestMetadata, metadata::Metadata, secret::SecretStore};
use uuid::Uuid;

use crate::{
    config::Environment,
    initialise::Failure,
    manifest::{KUBERNETES, Manifest, Property},
};

/// Who keeps the secrets that a manifest refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper<'a> {
    /// It refers to none.
    Nobody,
    /// The operator has put them in, in base64.
    Operator,
    /// A secret store component.
    Store(&'a str),
    /// It refers to some and says not whose.
    Unnamed,
}

impl Manifest {
    /// Who keeps its secrets; `kubernetes` is whether the operator is the source.
    pub(crate) fn keeper(&self, kubernetes: bool) -> Keeper<'_> {
        let mut properties = self.properties.iter();
        let has_secrets = properties.any(|property| property.secret.is_some());
        Keeper::of(&self.secret_store, has_secrets, kubernetes)
    }
}

impl<'a> Keeper<'a> {
    /// Who keeps the secrets of a resource that names `store`; `kubernetes` is whether the operator is the source.
    pub(crate) fn of(store: &'a str, has_secrets: bool, kubernetes: bool) -> Self {
        match store {
            _ if !has_secrets => Self::Nobody,
            "" | KUBERNETES if kubernetes => Self::Operator,
            "" => Self::Unnamed,
            store => Self::Store(store),
        }
    }
}

/// What properties are resolved with.
pub(crate) struct Resolver<'a> {
    /// What messages call a property.
    pub(crate) what: &'a str,
    pub(crate) app_id: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) environment: &'a Environment,
    pub(crate) keeper: Keeper<'a>,
    /// Of [`Keeper::Store`].
    pub(crate) store: Option<&'a dyn SecretStore>,
}

impl Resolver<'_> {
    /// The metadata of one component.
    pub(crate) async fn resolve(&self, manifest: &Manifest) -> Result<Metadata, Failure> {
        let mut pairs = Vec::with_capacity(manifest.properties.len());
        for property in &manifest.properties {
            let value = self.value(property, &manifest.namespace).await?;
            pairs.push((property.name.clone(), self.fill_in(property, value)?));
        }
        Metadata::new(pairs).map_err(|error| Failure::lasting(error.to_string()))
    }

    pub(crate) async fn value(
        &self,
        property: &Property,
        namespace: &str,
    ) -> Result<String, Failure> {
        if property.value.is_empty()
            && let Some(name) = &property.env
        {
            return Ok(self.variable(property, name));
        }
        let Some((secret, key)) = &property.secret else {
            return Ok(property.value.clone());
        };
        match self.keeper {
            Keeper::Operator => self.inlined(property, (secret, key)),
            Keeper::Store(_) => self.ask(property, (secret, key), namespace).await,
            Keeper::Nobody | Keeper::Unnamed => Err(Failure::lasting(format!(
                "{} {} refers to the secret {secret:?}, but auth.secretStore names no secret store",
                self.what, property.name
            ))),
        }
    }

    fn variable(&self, property: &Property, name: &str) -> String {
        if !self.environment.lets_read(name) {
            warn!(
                property = property.name,
                variable = name,
                "resources may not read this environment variable, the property stays empty"
            );
            return String::new();
        }
        self.environment.get(name).unwrap_or_default()
    }

    async fn ask(
        &self,
        property: &Property,
        (secret, key): (&str, &str),
        namespace: &str,
    ) -> Result<String, Failure> {
        let failed = |why: String| {
            let (what, name) = (self.what, &property.name);
            Failure::passing(format!("{what} {name}: secret {secret:?}: {why}"))
        };
        let store = self
            .store
            .ok_or_else(|| failed("its secret store is not there".into()))?;
        let metadata = RequestMetadata::from([("namespace".to_owned(), namespace.to_owned())]);
        let found = store.get(secret, &metadata).await;
        let mut values = found.map_err(|error| failed(error.to_string()))?;
        values
            .remove(key)
            .ok_or_else(|| failed(format!("it has no key {key:?}")))
    }

    /// The value that the operator put in: base64 of text.
    fn inlined(&self, property: &Property, (secret, key): (&str, &str)) -> Result<String, Failure> {
        let failed = |why: &str| {
            let (what, name) = (self.what, &property.name);
            Failure::lasting(format!(
                "{what} {name}: key {key:?} of the secret {secret:?}: {why}"
            ))
        };
        if property.value.is_empty() {
            return Err(failed(
                "the operator sent no value: create the Secret with this key in the resource's namespace",
            ));
        }
        let bytes = STANDARD
            .decode(&property.value)
            .map_err(|_| failed("the operator sent no base64: the Secret may lack this key"))?;
        String::from_utf8(bytes).map_err(|_| failed("it is not text"))
    }

    /// Replaces what stands in braces.
    fn fill_in(&self, property: &Property, mut text: String) -> Result<String, Failure> {
        while let Some(start) = text.find("{uuid}") {
            text.replace_range(start..start + "{uuid}".len(), &Uuid::new_v4().to_string());
        }
        if text.contains("{podName}") {
            let pod = self
                .environment
                .get("POD_NAME")
                .filter(|pod| !pod.is_empty());
            let pod = pod.ok_or_else(|| {
                Failure::lasting(format!(
                    "{} {}: {{podName}} is not known, POD_NAME is not set",
                    self.what, property.name
                ))
            })?;
            text = text.replace("{podName}", &pod);
        }
        // Upstream's own idea of a namespace.
        let namespace = format!("{}.{}", self.namespace, self.app_id);
        Ok(text
            .replace("{namespace}", &namespace)
            .replace("{appID}", self.app_id))
    }
}

#[cfg(test)]
mod tests;
