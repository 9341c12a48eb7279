//! Name resolution: where the sidecar of an application listens.
//!
//! A resolver makes its own sidecar findable when it is created, keeps it so while [`NameResolver::keep`] is
//! polled, and ends it in [`NameResolver::withdraw`]. It spawns nothing of its own; what it holds goes with it.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::registry::InitError;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The application.
    pub app_id: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The internal port of the sidecar that asks.
    pub port: u16,
}

/// Nothing of that name was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// A way to find sidecars.
#[async_trait]
pub trait NameResolver: fmt::Debug + Send + Sync {
    /// An address (`host:port`) of the application's sidecar; one of several where there are several.
    ///
    /// # Errors
    /// Nothing of that name is known, or the directory is away.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the question.
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError>;

    /// Drops what is remembered of an application whose sidecar was not reached.
    fn forget(&self, _app_id: &str, _namespace: &str) {}

    /// Keeps this sidecar findable, and what is remembered fresh, for as long as it is polled. Returns only
    /// when the resolver cannot go on, with the reason; another one has to be created then.
    ///
    /// # Cancel safety
    /// It may be dropped at any point and called again.
    async fn keep(&self) -> ResolveError {
        std::future::pending().await
    }

    /// Makes this sidecar unfindable. Questions are still answered, while [`Self::keep`] is polled.
    async fn withdraw(&self) {}
}

/// The sidecar that a resolver makes findable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instance {
    /// Its application.
    pub app_id: String,
    /// The namespace it runs in; empty outside Kubernetes when none is set.
    pub namespace: String,
    /// The host others reach it by: an address or a name, without a port.
    pub host: String,
    /// The port of its HTTP API.
    pub http_port: u16,
    /// The port for other sidecars.
    pub internal_port: u16,
    /// The application's port; `None` without one.
    pub app_port: Option<u16>,
}

type Creation = Pin<Box<dyn Future<Output = Result<Arc<dyn NameResolver>, InitError>> + Send>>;
type Factory = Box<dyn Fn(Instance, Value) -> Creation + Send + Sync>;

/// One way to find sidecars, under one or several names.
pub struct ResolverBackend {
    name: &'static str,
    aliases: &'static [&'static str],
    factory: Factory,
}

impl ResolverBackend {
    /// A resolver called `name`; `create` gets the `configuration` of `spec.nameResolution` (null when there is
    /// none) and returns it findable.
    pub fn new<F, Fut>(name: &'static str, create: F) -> Self
    where
        F: Fn(Instance, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn NameResolver>, InitError>> + Send + 'static,
    {
        Self {
            name,
            aliases: &[],
            factory: Box::new(move |instance, settings| Box::pin(create(instance, settings))),
        }
    }

    /// Other names for the same thing.
    #[must_use]
    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Its names, the aliases included.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Creates a resolver that makes `instance` findable.
    ///
    /// # Errors
    /// The settings are wrong, or what it talks to is away.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the resolver; a registration may outlive it until it expires.
    pub async fn create(
        &self,
        instance: Instance,
        settings: Value,
    ) -> Result<Arc<dyn NameResolver>, InitError> {
        (self.factory)(instance, settings).await
    }
}

impl fmt::Debug for ResolverBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResolverBackend({})", self.name)
    }
}

/// Decodes the settings of a resolver; none at all are the defaults.
///
/// # Errors
/// They do not have the form of `T`.
pub fn decode<T: DeserializeOwned + Default>(
    resolver: &str,
    settings: Value,
) -> Result<T, InitError> {
    if settings.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(settings).map_err(|error| {
        InitError::Invalid(format!(
            "configuration of name resolver {resolver}: {error}"
        ))
    })
}
