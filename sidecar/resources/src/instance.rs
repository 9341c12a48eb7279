//! Live components, and how one ends: when its last user lets go.

mod binding;
mod lock;
mod pubsub;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_component_catalogue::Field;
use trilby_components::{
    RequestMetadata,
    configuration::ConfigurationStore,
    definition,
    metadata::{Metadata, Schema},
    middleware::{Body, HttpMiddleware, Next},
    registry::Instance,
    secret::{Secret, SecretError, SecretStore},
    state::{
        BulkItem, DeleteRequest, Feature, GetRequest, Item, SetRequest, StateError, StateStore,
        Transactional,
    },
};

use crate::{encryption::Encryption, initialise::Failure, manifest::Manifest};

pub(crate) use binding::BindingSettings;
pub(crate) use lock::LockSettings;
pub use lock::{LockComponent, lock_fields};
pub(crate) use pubsub::PubSubSettings;

mod crypto;

pub use binding::{BindingComponent, binding_fields};
pub use crypto::CryptoComponent;
pub use pubsub::{PubSubComponent, Scopes, pubsub_fields};

/// How long a replaced component waits for requests that use it, before it is closed under them.
const DRAIN: Duration = Duration::from_secs(30);
/// How long closing may take.
const CLOSE: Duration = Duration::from_secs(5);

/// Metadata of any state store that the sidecar uses itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StateSettings {
    /// How keys are told apart from other applications': `appid`, `name`, `namespace`, `none` or a prefix.
    #[schemars(extend("default" = "appid"))]
    key_prefix: Option<String>,
    /// Whether actors keep their state here.
    #[serde(default)]
    actor_state_store: bool,
    /// The key that the state API encrypts values with, an AES key of 16, 24 or 32 bytes in hexadecimal. It has to come
    /// from a secret, whose name is stored with each value.
    #[schemars(extend("writeOnly" = true))]
    primary_encryption_key: Option<String>,
    /// The key that values were encrypted with before, which are still read. It has to come from a secret.
    #[schemars(extend("writeOnly" = true))]
    secondary_encryption_key: Option<String>,
    /// From both, once they are known to be keys.
    #[serde(skip)]
    encryption: Option<Arc<Encryption>>,
    // Not there yet; a store that silently left them out would lose messages.
    /// The pub/sub component that transactions publish to.
    #[schemars(extend("effect" = "refused"))]
    outbox_publish_pubsub: Option<String>,
    /// The topic there.
    #[schemars(extend("effect" = "refused"))]
    outbox_publish_topic: Option<String>,
    /// The pub/sub component of the outbox itself.
    #[schemars(extend("effect" = "refused"))]
    outbox_pubsub: Option<String>,
    /// Whether to drop messages whose state is gone.
    #[schemars(extend("effect" = "refused"))]
    outbox_discard_when_missing_state: Option<String>,
}

impl Schema for StateSettings {}

/// What every state store takes beside its own settings.
#[must_use]
pub fn state_fields() -> Vec<Field> {
    definition::fields::<StateSettings>()
}

impl StateSettings {
    pub(crate) fn encrypts(&self) -> bool {
        self.encryption.is_some()
    }

    /// Takes the sidecar's own settings out of a state store's metadata.
    pub(crate) fn split(
        manifest: &Manifest,
        metadata: &Metadata,
    ) -> Result<(Self, Metadata), Failure> {
        let (mut settings, rest) = metadata
            .split::<Self>()
            .map_err(|error| Failure::lasting(error.to_string()))?;
        for (name, value) in [
            ("outboxPublishPubsub", &settings.outbox_publish_pubsub),
            ("outboxPublishTopic", &settings.outbox_publish_topic),
            ("outboxPubsub", &settings.outbox_pubsub),
            (
                "outboxDiscardWhenMissingState",
                &settings.outbox_discard_when_missing_state,
            ),
        ] {
            if value.is_some() {
                return Err(Failure::lasting(format!(
                    "metadata property {name}: not there yet in this sidecar"
                )));
            }
        }
        let keys = (
            settings.primary_encryption_key.as_deref(),
            settings.secondary_encryption_key.as_deref(),
        );
        let encryption = Encryption::of(manifest, keys).map_err(Failure::lasting)?;
        settings.encryption = encryption.map(Arc::new);
        Ok((settings, rest))
    }
}

/// What the sidecar itself does around a component; of its block only.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) state: StateSettings,
    pub(crate) pubsub: PubSubSettings,
    pub(crate) binding: BindingSettings,
}

impl From<StateSettings> for Settings {
    fn from(state: StateSettings) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }
}

/// A state store and the sidecar's settings for it. It is itself a store, and is closed after its last
/// clone is gone.
pub struct StateComponent {
    /// The component's name.
    pub name: String,
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// Its `keyPrefix` as written; empty for the default.
    pub key_prefix: String,
    /// What the state API encrypts values with; `None` where they are stored as they are.
    pub encryption: Option<Arc<Encryption>>,
    pub(crate) holds_actors: bool,
    _in_use: DropGuard,
}

/// A secret store. It is closed after its last clone is gone.
pub struct SecretComponent {
    /// The component's name.
    pub name: String,
    store: Arc<dyn SecretStore>,
    _in_use: DropGuard,
}

/// A configuration store. It is closed after its last clone is gone.
pub struct ConfigurationComponent {
    /// The component's name.
    pub name: String,
    /// The store.
    pub store: Arc<dyn ConfigurationStore>,
    _in_use: DropGuard,
}

/// An HTTP middleware. It is closed after its last clone is gone.
pub struct MiddlewareComponent {
    /// The component's name.
    pub name: String,
    middleware: Arc<dyn HttpMiddleware>,
    _in_use: DropGuard,
}

/// A component that serves.
#[derive(Clone)]
pub(crate) enum Running {
    State(Arc<StateComponent>),
    Secret(Arc<SecretComponent>),
    Lock(Arc<LockComponent>),
    Configuration(Arc<ConfigurationComponent>),
    Crypto(Arc<CryptoComponent>),
    Middleware(Arc<MiddlewareComponent>),
    PubSub(Arc<PubSubComponent>),
    Binding(Arc<BindingComponent>),
}

/// What is left of a component for closing it.
pub(crate) struct Remains {
    name: String,
    instance: Instance,
    released: CancellationToken,
}

// === impl Running ===

impl Running {
    /// Puts an instance into service, with what will close it.
    pub(crate) fn new(name: &str, instance: Instance, settings: Settings) -> (Self, Remains) {
        let released = CancellationToken::new();
        let in_use = released.clone().drop_guard();
        let running = match &instance {
            Instance::State(store) => Self::State(Arc::new(StateComponent {
                name: name.to_owned(),
                store: Arc::clone(store),
                key_prefix: settings.state.key_prefix.unwrap_or_default(),
                encryption: settings.state.encryption,
                holds_actors: settings.state.actor_state_store,
                _in_use: in_use,
            })),
            Instance::Secret(store) => Self::Secret(Arc::new(SecretComponent {
                name: name.to_owned(),
                store: Arc::clone(store),
                _in_use: in_use,
            })),
            Instance::Lock(store) => Self::Lock(Arc::new(LockComponent {
                name: name.to_owned(),
                key_prefix: settings.state.key_prefix.unwrap_or_default(),
                store: Arc::clone(store),
                _in_use: in_use,
            })),
            Instance::Configuration(store) => {
                Self::Configuration(Arc::new(ConfigurationComponent {
                    name: name.to_owned(),
                    store: Arc::clone(store),
                    _in_use: in_use,
                }))
            }
            Instance::Crypto(provider) => {
                Self::Crypto(Arc::new(CryptoComponent::new(name, provider, in_use)))
            }
            Instance::Middleware(middleware) => Self::Middleware(Arc::new(MiddlewareComponent {
                name: name.to_owned(),
                middleware: Arc::clone(middleware),
                _in_use: in_use,
            })),
            Instance::PubSub(broker) => Self::PubSub(Arc::new(PubSubComponent {
                name: name.to_owned(),
                broker: Arc::clone(broker),
                settings: settings.pubsub,
                _in_use: in_use,
            })),
            Instance::Binding(binding) => Self::Binding(Arc::new(BindingComponent {
                name: name.to_owned(),
                binding: binding.clone(),
                settings: settings.binding,
                _in_use: in_use,
            })),
        };
        let remains = Remains {
            name: name.to_owned(),
            instance,
            released,
        };
        (running, remains)
    }

    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        match self {
            Self::State(component) => component.store.capabilities(),
            Self::Secret(component) => component.store.capabilities(),
            Self::Configuration(component) => component.store.capabilities(),
            Self::PubSub(component) => component.broker.capabilities(),
            Self::Binding(component) => component.capabilities(),
            Self::Lock(_) | Self::Crypto(_) | Self::Middleware(_) => Vec::new(),
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(component) => component.fmt(f),
            Self::Secret(component) => component.fmt(f),
            Self::Lock(component) => component.fmt(f),
            Self::Configuration(component) => component.fmt(f),
            Self::Crypto(component) => component.fmt(f),
            Self::Middleware(component) => component.fmt(f),
            Self::PubSub(component) => component.fmt(f),
            Self::Binding(component) => component.fmt(f),
        }
    }
}

// === impl Remains ===

impl Remains {
    /// Keeps the component's access fresh until nobody uses it any more, or there is nothing to keep.
    pub(crate) fn keep(&self) -> impl Future<Output = ()> + Send + 'static {
        let (instance, released) = (self.instance.clone(), self.released.clone());
        async move {
            released.run_until_cancelled(instance.keep()).await;
        }
    }

    /// Waits for the requests that use the component, then closes it.
    pub(crate) async fn close(self) {
        if timeout(DRAIN, self.released.cancelled()).await.is_err() {
            tracing::warn!(
                component = self.name,
                "requests still use a component that was replaced, it is closed under them"
            );
        }
        if timeout(CLOSE, self.instance.close()).await.is_err() {
            tracing::warn!(component = self.name, "closing a component took too long");
        }
    }
}

impl Remains {
    /// Closes the component, whoever still holds it: the process ends.
    pub(crate) async fn end(self) {
        if timeout(CLOSE, self.instance.close()).await.is_err() {
            tracing::warn!(component = self.name, "closing a component took too long");
        }
    }
}

impl fmt::Debug for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remains({})", self.name)
    }
}

// === impl StateComponent ===

impl fmt::Debug for StateComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateComponent({})", self.name)
    }
}

#[async_trait]
impl StateStore for StateComponent {
    fn features(&self) -> &[Feature] {
        self.store.features()
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        self.store.get(request).await
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.store.set(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.store.delete(request).await
    }

    async fn bulk_get(&self, requests: Vec<GetRequest>, parallelism: usize) -> Vec<BulkItem> {
        self.store.bulk_get(requests, parallelism).await
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>) -> Vec<Result<(), StateError>> {
        self.store.bulk_set(requests).await
    }

    async fn bulk_delete(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), StateError>> {
        self.store.bulk_delete(requests).await
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        self.store.transactional()
    }
}

// === impl SecretComponent ===

impl fmt::Debug for SecretComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretComponent({})", self.name)
    }
}

#[async_trait]
impl SecretStore for SecretComponent {
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        self.store.get(name, metadata).await
    }

    async fn bulk_get(
        &self,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        self.store.bulk_get(metadata).await
    }

    fn capabilities(&self) -> Vec<&'static str> {
        self.store.capabilities()
    }
}

// === impl ConfigurationComponent ===

impl fmt::Debug for ConfigurationComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigurationComponent({})", self.name)
    }
}

// === impl MiddlewareComponent ===

impl fmt::Debug for MiddlewareComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MiddlewareComponent({})", self.name)
    }
}

#[async_trait]
impl HttpMiddleware for MiddlewareComponent {
    async fn handle(&self, request: http::Request<Body>, next: Next<'_>) -> http::Response<Body> {
        self.middleware.handle(request, next).await
    }
}
