//! What the rest of the sidecar sees of its components, at one moment.

use std::{collections::BTreeMap, sync::Arc};

use trilby_components::{
    crypto::CryptoProvider, middleware::HttpMiddleware, registry::Block, secret::SecretStore,
};

use crate::{
    instance::{
        BindingComponent, ConfigurationComponent, LockComponent, PubSubComponent, Running,
        StateComponent,
    },
    updater::block_of,
};

/// One component, serving or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    /// Its name.
    pub name: String,
    /// Such as `state.redis`: of the instance that serves, else as the component stands; empty when that does not
    /// decode.
    pub component_type: String,
    /// Of the same, as written; empty for the type's default.
    pub version: String,
    /// What the serving instance can do, in upstream's spelling; empty when none serves.
    pub capabilities: Vec<&'static str>,
    /// Whether an instance serves. It may be an older one than the component as it stands: then `error`
    /// says why.
    pub serving: bool,
    /// Why the component as it stands does not serve.
    pub error: Option<String>,
    /// Whether the sidecar is not ready without it: it failed in the first load and has not served since, and its
    /// `ignoreErrors` is not set.
    pub holds_up_start: bool,
}

/// Why there is no component of a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// There is none of its block at all.
    #[error("no component of this kind is configured")]
    NotConfigured,
    /// There are others of its block.
    #[error("no component of this name is configured")]
    NotFound,
    /// It does not serve, and this is why.
    #[error("{0}")]
    Failed(String),
}

/// An immutable picture of all components.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// By name.
    components: BTreeMap<String, (ComponentInfo, Option<Running>)>,
}

impl View {
    pub(crate) fn new(components: Vec<(ComponentInfo, Option<Running>)>) -> Self {
        let named = |(info, running): (ComponentInfo, _)| (info.name.clone(), (info, running));
        Self {
            components: components.into_iter().map(named).collect(),
        }
    }

    pub(crate) fn infos(&self) -> impl Iterator<Item = &ComponentInfo> {
        self.components.values().map(|(info, _)| info)
    }

    pub(crate) fn state_store(&self, name: &str) -> Result<Arc<StateComponent>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::State(component)))) => Ok(Arc::clone(component)),
            other => Err(self.missing(Block::State, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn secret_store(&self, name: &str) -> Result<Arc<dyn SecretStore>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::Secret(component)))) => Ok(Arc::clone(component) as _),
            other => Err(self.missing(Block::SecretStore, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn lock_store(&self, name: &str) -> Result<Arc<LockComponent>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::Lock(component)))) => Ok(Arc::clone(component)),
            other => Err(self.missing(Block::Lock, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn configuration_store(
        &self,
        name: &str,
    ) -> Result<Arc<ConfigurationComponent>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::Configuration(component)))) => Ok(Arc::clone(component)),
            other => Err(self.missing(Block::Configuration, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn crypto_provider(&self, name: &str) -> Result<Arc<dyn CryptoProvider>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::Crypto(component)))) => Ok(Arc::clone(component) as _),
            other => Err(self.missing(Block::Crypto, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn pubsub(&self, name: &str) -> Result<Arc<PubSubComponent>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::PubSub(component)))) => Ok(Arc::clone(component)),
            other => Err(self.missing(Block::PubSub, other.map(|(info, _)| info))),
        }
    }

    pub(crate) fn binding(&self, name: &str) -> Result<Arc<BindingComponent>, Lookup> {
        match self.components.get(name) {
            Some((_, Some(Running::Binding(component)))) => Ok(Arc::clone(component)),
            other => Err(self.missing(Block::Binding, other.map(|(info, _)| info))),
        }
    }

    /// All bindings that serve, by name.
    pub(crate) fn bindings(&self) -> Vec<Arc<BindingComponent>> {
        let running = self
            .components
            .values()
            .filter_map(|(_, running)| running.as_ref());
        running
            .filter_map(|running| match running {
                Running::Binding(component) => Some(Arc::clone(component)),
                _ => None,
            })
            .collect()
    }

    /// The one of exactly that name, type and version; no version is `v1`.
    pub(crate) fn middleware(
        &self,
        name: &str,
        type_name: &str,
        version: &str,
    ) -> Result<Arc<dyn HttpMiddleware>, Lookup> {
        let wanted = (type_name, version_or_first(version));
        match self.components.get(name) {
            Some((info, Some(Running::Middleware(component))))
                if wanted
                    == (
                        info.component_type.as_str(),
                        version_or_first(&info.version),
                    ) =>
            {
                Ok(Arc::clone(component) as _)
            }
            other => Err(self.missing(Block::Middleware, other.map(|(info, _)| info))),
        }
    }

    fn missing(&self, block: Block, found: Option<&ComponentInfo>) -> Lookup {
        let is_of = |info: &ComponentInfo| block_of(&info.component_type) == Some(block);
        match found {
            Some(info) if !info.serving && (is_of(info) || info.component_type.is_empty()) => {
                let why = info.error.clone();
                Lookup::Failed(why.unwrap_or_else(|| "it is being initialised".to_owned()))
            }
            _ if self.infos().any(is_of) => Lookup::NotFound,
            _ => Lookup::NotConfigured,
        }
    }
}

/// Pipelines name components by version, and none is the first.
fn version_or_first(version: &str) -> &str {
    if version.is_empty() { "v1" } else { version }
}

#[cfg(test)]
mod tests;
