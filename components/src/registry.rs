//! From a component's type and version to a live instance.
//!
//! Backends register in one visible function of the sidecar. A type that upstream has and this sidecar has
//! not is still known by name ([`known`]), so that "misspelt", "left out of this build" and "not there yet"
//! are three different answers. Types that are known only at run time come from a [`TypeSource`].

mod backend;
mod block;
mod known;
mod resolvers;
mod types;

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

pub use backend::{Backend, ComponentContext, InitError, Instance};
pub use block::Block;
pub use types::{Arrivals, TypeSource};

use crate::{in_memory, metadata::Metadata, name_resolution::ResolverBackend};

/// Why a component could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No such building block.
    #[error(
        "incorrect type {type_name}: it has to start with one of {}",
        Block::prefixes()
    )]
    UnknownBlock {
        /// The type as it was asked for.
        type_name: String,
    },
    /// No such type, here or upstream.
    #[error("couldn't find {} {type_name}/{version}{}", .block.noun(), suggestion(.nearest))]
    UnknownType {
        /// The block that the type names.
        block: Block,
        /// The type as it was asked for.
        type_name: String,
        /// The version as it was asked for.
        version: String,
        /// Known types that look like it, best first.
        nearest: Vec<String>,
    },
    /// The type exists in this source, but this binary was built without it.
    #[error(
        "{type_name} is not built into this sidecar: it was built without the feature {feature:?}"
    )]
    CompiledOut {
        /// The type as it was asked for.
        type_name: String,
        /// The Cargo feature that brings it.
        feature: &'static str,
    },
    /// Upstream has the type, this sidecar does not have it yet.
    #[error("{0} is not there yet: this sidecar knows the type but cannot serve it")]
    NotBuiltYet(String),
    /// The type has no such version.
    #[error("couldn't find {} {type_name}/{version}: it has {}", .block.noun(), .supported.join(", "))]
    UnknownVersion {
        /// The block that the type names.
        block: Block,
        /// The type as it was asked for.
        type_name: String,
        /// The version as it was asked for.
        version: String,
        /// Versions that exist.
        supported: Vec<&'static str>,
    },
    /// No such name resolver, here or upstream.
    #[error("couldn't find name resolver {name}/{version}{}", suggestion(.nearest))]
    UnknownResolver {
        /// The resolver as it was asked for.
        name: String,
        /// The version as it was asked for.
        version: String,
        /// Known resolvers that look like it, best first.
        nearest: Vec<String>,
    },
    /// Nothing serves the type, also not where types come from at run time.
    #[error("{error}; {looked}")]
    NotFoundAnywhere {
        /// What the build says about the type.
        error: Box<Self>,
        /// Where else it was looked for.
        looked: String,
    },
    /// The backend refused its configuration or could not start.
    #[error(transparent)]
    Init(#[from] InitError),
}

impl CreateError {
    /// Whether the same component can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Init(InitError::Unavailable(_)))
    }

    /// Whether it failed in its backend, rather than before one was found.
    #[must_use]
    pub fn is_init(&self) -> bool {
        matches!(self, Self::Init(_))
    }
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        String::new()
    } else {
        format!(". Did you mean {}?", nearest.join(" or "))
    }
}

/// Every backend of this sidecar, by type.
#[derive(Clone, Default)]
pub struct Registry {
    /// By full, lower-case type (`state.redis`), aliases included. Those of one type share no version; the first has
    /// the type's default.
    backends: HashMap<String, Vec<Arc<Backend>>>,
    /// By lower-case name (`mdns`), aliases included.
    resolvers: HashMap<&'static str, Arc<ResolverBackend>>,
    /// Where further types come from.
    source: Option<Arc<dyn TypeSource>>,
}

impl Registry {
    /// With the backends of this crate, which need nothing.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default().with(in_memory::backends())
    }

    /// Adds `backends`; a later one of the same type and version replaces an earlier one.
    #[must_use]
    pub fn with(mut self, backends: Vec<Backend>) -> Self {
        for backend in backends.into_iter().map(Arc::new) {
            for type_name in backend.type_names() {
                let those = self.backends.entry(type_name).or_default();
                those.retain(|other| !other.shares_a_version_with(&backend));
                those.push(Arc::clone(&backend));
            }
        }
        self
    }

    /// Takes further types from `source`, which goes before the backends.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn TypeSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// The types that come while the sidecar runs; `None` when there are none.
    #[must_use]
    pub fn arrivals(&self) -> Option<watch::Receiver<Arrivals>> {
        Some(self.source.as_ref()?.arrivals())
    }

    /// Waits until [`Self::find`] knows all that can be known of a type by now, for a limited time.
    ///
    /// # Cancel safety
    /// It may be dropped at any point.
    pub async fn settled(&self, type_name: &str) {
        let lower = type_name.to_lowercase();
        if let (Some(source), Some((block, name))) = (&self.source, Block::of(&lower)) {
            source.settled(block, name).await;
        }
    }

    /// Creates and initialises a component. Types and versions are compared in lower case; an empty
    /// version is the type's default.
    ///
    /// # Errors
    /// See [`CreateError`].
    ///
    /// # Cancel safety
    /// Dropping the future abandons the component; nothing of it stays.
    pub async fn create(
        &self,
        type_name: &str,
        version: &str,
        context: ComponentContext,
        metadata: Metadata,
    ) -> Result<Instance, CreateError> {
        let backend = self.find(type_name, version)?;
        Ok(backend.create(context, metadata).await?)
    }

    /// The backend that serves a type and version.
    ///
    /// # Errors
    /// Every [`CreateError`] but [`CreateError::Init`].
    pub fn find(&self, type_name: &str, version: &str) -> Result<Arc<Backend>, CreateError> {
        let lower = type_name.to_lowercase();
        let Some((block, name)) = Block::of(&lower) else {
            return Err(CreateError::UnknownBlock {
                type_name: type_name.to_owned(),
            });
        };
        let source = self.source.as_ref();
        let asked = version.to_lowercase();
        let served = source.and_then(|source| source.find(block, name));
        if let Some(backend) = served.filter(|backend| backend.has_version(&asked)) {
            return Ok(backend);
        }
        let Some(backends) = self.backends.get(&lower) else {
            let error = self.absent(block, type_name, version);
            return Err(
                match source.and_then(|source| source.missing(block, name)) {
                    Some(looked) => CreateError::NotFoundAnywhere {
                        error: Box::new(error),
                        looked,
                    },
                    None => error,
                },
            );
        };
        match backends.iter().find(|backend| backend.has_version(&asked)) {
            Some(backend) => Ok(Arc::clone(backend)),
            None => Err(CreateError::UnknownVersion {
                block,
                type_name: type_name.to_owned(),
                version: version.to_owned(),
                supported: backends
                    .iter()
                    .flat_map(|backend| backend.versions().iter().copied())
                    .collect(),
            }),
        }
    }

    /// The backends, those of one type in the order of their versions, and every type of upstream's that none of them
    /// serves.
    #[must_use]
    pub fn types(&self) -> (Vec<&Backend>, Vec<String>) {
        let backends = self.backends.iter();
        let backends = backends.flat_map(|(name, those)| those.iter().map(move |one| (name, one)));
        let first =
            backends.filter(|(name, backend)| backend.type_names().next().as_ref() == Some(name));
        let mut absent: Vec<String> = known::all().collect();
        absent.retain(|name| !self.backends.contains_key(name));
        absent.sort_unstable();
        (first.map(|(_, backend)| &**backend).collect(), absent)
    }

    fn absent(&self, block: Block, type_name: &str, version: &str) -> CreateError {
        match known::find(&type_name.to_lowercase()) {
            Some(known::Known::Feature(feature)) => CreateError::CompiledOut {
                type_name: type_name.to_owned(),
                feature,
            },
            Some(known::Known::NotYet) => CreateError::NotBuiltYet(type_name.to_owned()),
            None => CreateError::UnknownType {
                block,
                type_name: type_name.to_owned(),
                version: version.to_owned(),
                nearest: known::nearest(&type_name.to_lowercase()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
