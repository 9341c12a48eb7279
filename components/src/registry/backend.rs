//! One implementation of one component type.

use std::{borrow::Cow, fmt, pin::Pin, sync::Arc};

use super::Block;
use crate::{
    binding::Binding,
    configuration::ConfigurationStore,
    crypto::CryptoProvider,
    lock::LockStore,
    metadata::{Metadata, MetadataError},
    middleware::HttpMiddleware,
    pubsub::PubSub,
    secret::SecretStore,
    state::StateStore,
    workload::WorkloadIdentity,
};

/// The versions of a type that never had a second one.
const UNVERSIONED: &[&str] = &["v1", "v0"];

/// For whom a component is created.
#[derive(Debug, Clone, Default)]
pub struct ComponentContext {
    /// The component's name.
    pub name: String,
    /// The application that the sidecar serves.
    pub app_id: String,
    /// The namespace that the sidecar runs in; empty outside Kubernetes when none is set.
    pub namespace: String,
    /// The sidecar's identity; `None` if it has none.
    pub identity: Option<Arc<dyn WorkloadIdentity>>,
    /// Whether guests of WebAssembly see no true time and no true random numbers, whatever the component says.
    pub strict_sandbox: bool,
}

impl ComponentContext {
    /// Under which name a broker knows the subscriber: what the component says, else the application.
    #[must_use]
    pub fn consumer(&self, said: Option<&str>) -> String {
        let said = said.map(str::trim).filter(|name| !name.is_empty());
        said.unwrap_or(&self.app_id).to_owned()
    }
}

/// Why a backend did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Its metadata does not decode.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Its configuration asks for something that cannot be, or is not there yet.
    #[error("{0}")]
    Invalid(String),
    /// What it talks to cannot be reached, or refuses: a later attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
}

/// A live component.
#[derive(Clone)]
pub enum Instance {
    /// `state.*`
    State(Arc<dyn StateStore>),
    /// `secretstores.*`
    Secret(Arc<dyn SecretStore>),
    /// `lock.*`
    Lock(Arc<dyn LockStore>),
    /// `configuration.*`
    Configuration(Arc<dyn ConfigurationStore>),
    /// `crypto.*`
    Crypto(Arc<dyn CryptoProvider>),
    /// `middleware.http.*`
    Middleware(Arc<dyn HttpMiddleware>),
    /// `pubsub.*`
    PubSub(Arc<dyn PubSub>),
    /// `bindings.*`
    Binding(Binding),
}

impl Instance {
    /// The capabilities that the metadata API lists.
    #[must_use]
    pub fn capabilities(&self) -> Vec<&'static str> {
        match self {
            Self::State(store) => store.capabilities(),
            Self::Secret(store) => store.capabilities(),
            Self::Lock(_) => Vec::new(),
            Self::Configuration(store) => store.capabilities(),
            Self::Crypto(_) => Vec::new(),
            Self::Middleware(_) => Vec::new(),
            Self::PubSub(broker) => broker.capabilities(),
            Self::Binding(binding) => binding.capabilities(),
        }
    }

    /// Keeps its access fresh for as long as it is polled; returns when there is nothing to keep.
    pub async fn keep(&self) {
        if let Self::Secret(store) = self {
            store.keep().await;
        }
    }

    /// Releases what it holds. Call it when no request uses it any more.
    pub async fn close(&self) {
        match self {
            Self::State(store) => store.close().await,
            Self::Secret(store) => store.close().await,
            Self::Lock(store) => store.close().await,
            Self::Configuration(store) => store.close().await,
            Self::Crypto(provider) => provider.close().await,
            Self::Middleware(middleware) => middleware.close().await,
            Self::PubSub(broker) => broker.close().await,
            Self::Binding(binding) => binding.close().await,
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State(_) => "State",
            Self::Secret(_) => "Secret",
            Self::Lock(_) => "Lock",
            Self::Configuration(_) => "Configuration",
            Self::Crypto(_) => "Crypto",
            Self::Middleware(_) => "Middleware",
            Self::PubSub(_) => "PubSub",
            Self::Binding(_) => "Binding",
        })
    }
}

type Creation = Pin<Box<dyn Future<Output = Result<Instance, InitError>> + Send>>;
type Factory = Box<dyn Fn(ComponentContext, Metadata) -> Creation + Send + Sync>;

/// One implementation of one component type, under one or several names.
pub struct Backend {
    block: Block,
    name: Cow<'static, str>,
    aliases: &'static [&'static str],
    versions: &'static [&'static str],
    factory: Factory,
}

impl Backend {
    /// A state store called `name`; `create` returns it connected.
    pub fn state<F, Fut>(name: impl Into<Cow<'static, str>>, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn StateStore>, InitError>> + Send + 'static,
    {
        Self::new(Block::State, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::State) })
        })
    }

    /// A secret store called `name`; `create` returns it ready.
    pub fn secret_store<F, Fut>(name: impl Into<Cow<'static, str>>, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn SecretStore>, InitError>> + Send + 'static,
    {
        Self::new(Block::SecretStore, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Secret) })
        })
    }

    /// A lock store called `name`; `create` returns it connected.
    pub fn lock<F, Fut>(name: &'static str, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn LockStore>, InitError>> + Send + 'static,
    {
        Self::new(Block::Lock, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Lock) })
        })
    }

    /// A configuration store called `name`; `create` returns it ready.
    pub fn configuration<F, Fut>(name: &'static str, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn ConfigurationStore>, InitError>> + Send + 'static,
    {
        Self::new(Block::Configuration, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Configuration) })
        })
    }

    /// A crypto provider called `name`; `create` returns it ready.
    pub fn crypto<F, Fut>(name: &'static str, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn CryptoProvider>, InitError>> + Send + 'static,
    {
        Self::new(Block::Crypto, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Crypto) })
        })
    }

    /// An HTTP middleware called `name`; `create` returns it ready.
    pub fn middleware<F, Fut>(name: &'static str, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn HttpMiddleware>, InitError>> + Send + 'static,
    {
        Self::new(Block::Middleware, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Middleware) })
        })
    }

    /// A broker called `name`; `create` returns it connected.
    pub fn pubsub<F, Fut>(name: impl Into<Cow<'static, str>>, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn PubSub>, InitError>> + Send + 'static,
    {
        Self::new(Block::PubSub, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::PubSub) })
        })
    }

    /// A binding called `name`; `create` returns it ready.
    pub fn binding<F, Fut>(name: impl Into<Cow<'static, str>>, create: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Binding, InitError>> + Send + 'static,
    {
        Self::new(Block::Binding, name, move |context, metadata| {
            let creation = create(context, metadata);
            Box::pin(async { creation.await.map(Instance::Binding) })
        })
    }

    fn new<F>(block: Block, name: impl Into<Cow<'static, str>>, factory: F) -> Self
    where
        F: Fn(ComponentContext, Metadata) -> Creation + Send + Sync + 'static,
    {
        Self {
            block,
            name: name.into(),
            aliases: &[],
            versions: UNVERSIONED,
            factory: Box::new(factory),
        }
    }

    /// Other names for the same thing.
    #[must_use]
    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The versions that it is, the default first, where a type has others as well, or never had a first one.
    #[must_use]
    pub fn of_versions(mut self, versions: &'static [&'static str]) -> Self {
        self.versions = versions;
        self
    }

    /// The full types it serves, its own first, then the aliases.
    pub fn type_names(&self) -> impl Iterator<Item = String> {
        std::iter::once(&*self.name)
            .chain(self.aliases.iter().copied())
            .map(|name| format!("{}.{name}", self.block.prefix()))
    }

    /// Its versions, the default first.
    #[must_use]
    pub fn versions(&self) -> &'static [&'static str] {
        self.versions
    }

    pub(super) fn shares_a_version_with(&self, other: &Self) -> bool {
        self.versions
            .iter()
            .any(|version| other.versions.contains(version))
    }

    pub(super) fn has_version(&self, version: &str) -> bool {
        version.is_empty() || self.versions.contains(&version)
    }

    pub(super) async fn create(
        &self,
        context: ComponentContext,
        metadata: Metadata,
    ) -> Result<Instance, InitError> {
        (self.factory)(context, metadata).await
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({}.{})", self.block.prefix(), self.name)
    }
}
