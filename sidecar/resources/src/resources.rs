//! The handle that the rest of the sidecar holds.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trilby_components::{
    crypto::CryptoProvider, middleware::HttpMiddleware, secret::SecretStore, state::NamedStore,
};
use trilby_crds::{
    ConfigurationSpec, HttpEndpointSpec, McpServerSpec, ResiliencySpec, SubscriptionSpec,
    WorkflowAccessPolicySpec,
};

use crate::{
    config::Config,
    declared::Problems,
    instance::{
        BindingComponent, ConfigurationComponent, LockComponent, PubSubComponent, StateComponent,
    },
    ledger::Ledger,
    resource::{Followed, Problem, Resource},
    runtime::Runtime,
    view::{ComponentInfo, Lookup, View},
};

/// Why the first load failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The Configuration cannot be had.
    #[error("error loading configuration: {0}")]
    Configuration(String),
    /// A file or directory cannot be used. The text is upstream's.
    #[error("failed to load components: {0}")]
    Disk(String),
    /// The operator did not answer in time.
    #[error(
        "error loading {kind} resources: nothing usable within {limit:?}, the last answer was: {last}"
    )]
    Kind {
        /// Of which resources.
        kind: &'static str,
        /// How long it was tried.
        limit: Duration,
        /// Why the last attempt failed.
        last: String,
    },
    /// The process ends.
    #[error("loading resources was cancelled")]
    Cancelled,
}

/// Components and Configuration of this sidecar, as they are now. Cheap to clone.
#[derive(Clone)]
pub struct Resources {
    shared: Arc<Shared>,
}

/// What the runtime publishes.
pub(crate) struct Shared {
    pub(crate) view: ArcSwap<View>,
    /// Bumped after each change of `view`.
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) actor_state: watch::Sender<Option<NamedStore>>,
    pub(crate) configuration: watch::Receiver<Arc<ConfigurationSpec>>,
    pub(crate) kinds: Kinds,
    pub(crate) problems: Arc<Problems>,
    pub(crate) ledger: Ledger,
    /// Counts requests to look at everything.
    pub(crate) reload: watch::Sender<u64>,
}

/// The kinds without a life of their own, as they are published.
#[derive(Default)]
pub(crate) struct Kinds {
    pub(crate) resiliencies: watch::Sender<Arc<[Resource<ResiliencySpec>]>>,
    pub(crate) http_endpoints: watch::Sender<Arc<[Resource<HttpEndpointSpec>]>>,
    pub(crate) subscriptions: watch::Sender<Arc<[Resource<SubscriptionSpec>]>>,
    pub(crate) mcp_servers: watch::Sender<Arc<[Resource<McpServerSpec>]>>,
    pub(crate) workflow_access_policies: watch::Sender<Arc<[Resource<WorkflowAccessPolicySpec>]>>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.shared.view.load().infos().map(|info| &info.name))
            .finish()
    }
}

impl Resources {
    /// Loads the Configuration and all components, and returns when each of them serves, has failed once,
    /// or waits for another. The future then follows changes until `cancel`; it has to run for failed
    /// components to be tried again.
    ///
    /// A component that fails does not fail the load: see [`ComponentInfo::error`].
    ///
    /// # Errors
    /// When the source itself cannot be read, or the process ends first.
    pub async fn start(
        config: Config,
        cancel: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), LoadError> {
        let mut runtime = Runtime::new(config, cancel).await?;
        runtime.load().await?;
        let resources = Self {
            shared: runtime.shared(),
        };
        Ok((resources, runtime.run()))
    }

    /// The state store of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn state_store(&self, name: &str) -> Result<Arc<StateComponent>, Lookup> {
        self.shared.view.load().state_store(name)
    }

    /// The secret store of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn secret_store(&self, name: &str) -> Result<Arc<dyn SecretStore>, Lookup> {
        self.shared.view.load().secret_store(name)
    }

    /// The lock store of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn lock_store(&self, name: &str) -> Result<Arc<LockComponent>, Lookup> {
        self.shared.view.load().lock_store(name)
    }

    /// The configuration store of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn configuration_store(&self, name: &str) -> Result<Arc<ConfigurationComponent>, Lookup> {
        self.shared.view.load().configuration_store(name)
    }

    /// The broker of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn pubsub(&self, name: &str) -> Result<Arc<PubSubComponent>, Lookup> {
        self.shared.view.load().pubsub(name)
    }

    /// The binding of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn binding(&self, name: &str) -> Result<Arc<BindingComponent>, Lookup> {
        self.shared.view.load().binding(name)
    }

    /// All bindings that serve, by name.
    #[must_use]
    pub fn bindings(&self) -> Vec<Arc<BindingComponent>> {
        self.shared.view.load().bindings()
    }

    /// The crypto provider of that name.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn crypto_provider(&self, name: &str) -> Result<Arc<dyn CryptoProvider>, Lookup> {
        self.shared.view.load().crypto_provider(name)
    }

    /// The HTTP middleware of exactly that name, type and version; no version is `v1`.
    ///
    /// # Errors
    /// See [`Lookup`].
    pub fn middleware(
        &self,
        name: &str,
        type_name: &str,
        version: &str,
    ) -> Result<Arc<dyn HttpMiddleware>, Lookup> {
        let view = self.shared.view.load();
        view.middleware(name, type_name, version)
    }

    /// A number that grows after each change of any component.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// All components in the order of their names, also those that do not serve.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        self.shared.view.load().infos().cloned().collect()
    }

    /// The store in which actors keep their state, as it changes: a [`StateComponent`], whose
    /// [`name`](StateComponent::name) the metadata API shows.
    #[must_use]
    pub fn actor_state(&self) -> watch::Receiver<Option<NamedStore>> {
        self.shared.actor_state.subscribe()
    }

    /// The Configuration, as it changes.
    #[must_use]
    pub fn configuration(&self) -> watch::Receiver<Arc<ConfigurationSpec>> {
        self.shared.configuration.clone()
    }

    /// Resources beside components that cannot be used as they stand, and documents that cannot be read.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.shared.problems.all()
    }

    /// Reads everything again, also when changes are not followed. What is the same as before stays untouched.
    pub fn reload(&self) {
        self.shared.reload.send_modify(|count| *count += 1);
    }

    /// Resiliency policies, as they change.
    #[must_use]
    pub fn resiliencies(&self) -> Followed<ResiliencySpec> {
        self.shared.kinds.resiliencies.subscribe()
    }

    /// Places outside that are invoked by name, as they change.
    #[must_use]
    pub fn http_endpoints(&self) -> Followed<HttpEndpointSpec> {
        self.shared.kinds.http_endpoints.subscribe()
    }

    /// Declared subscriptions, as they change; the older version is converted.
    #[must_use]
    pub fn subscriptions(&self) -> Followed<SubscriptionSpec> {
        self.shared.kinds.subscriptions.subscribe()
    }

    /// Servers of the Model Context Protocol, as they change.
    #[must_use]
    pub fn mcp_servers(&self) -> Followed<McpServerSpec> {
        self.shared.kinds.mcp_servers.subscribe()
    }

    /// Who may do what to this app's workflows, as it changes.
    #[must_use]
    pub fn workflow_access_policies(&self) -> Followed<WorkflowAccessPolicySpec> {
        self.shared.kinds.workflow_access_policies.subscribe()
    }
}
