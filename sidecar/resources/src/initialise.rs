//! From a manifest to a component that serves.

use std::sync::Arc;

use tokio::{sync::watch, time::timeout};
use tracing::info;
use trilby_components::{
    metadata::Metadata,
    registry::{Block, ComponentContext, CreateError, Registry},
    secret::SecretStore,
    workload::WorkloadIdentity,
};
use trilby_crds::ConfigurationSpec;

use crate::{
    config::Environment,
    instance::{
        BindingSettings, LockSettings, PubSubSettings, Remains, Running, Settings, StateSettings,
    },
    manifest::Manifest,
    observer::{Observer, Step},
    properties::{Keeper, Resolver},
    redaction::Redaction,
};

/// Why a component does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// Whether the same attempt can succeed later.
    pub(crate) passing: bool,
    pub(crate) step: Step,
}

impl Failure {
    /// It stays until someone changes the component.
    pub(crate) fn lasting(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            passing: false,
            step: Step::Init,
        }
    }

    /// It may pass.
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            passing: true,
            step: Step::Init,
        }
    }
}

/// Everything that initialising takes, beside the manifest.
pub(crate) struct Initialiser {
    pub(crate) registry: Registry,
    pub(crate) app_id: String,
    /// Never empty.
    pub(crate) namespace: String,
    pub(crate) environment: Environment,
    pub(crate) identity: Option<Arc<dyn WorkloadIdentity>>,
    /// Whether the operator is the source.
    pub(crate) kubernetes: bool,
    pub(crate) observer: Arc<dyn Observer>,
    /// As it is when a component is created.
    pub(crate) configuration: watch::Receiver<Arc<ConfigurationSpec>>,
}

impl Initialiser {
    /// Resolves secrets and creates the component, within the manifest's limit. `secrets` is the store that
    /// the manifest names.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the component; nothing of it stays.
    pub(crate) async fn initialise(
        &self,
        manifest: &Manifest,
        secrets: Option<Arc<dyn SecretStore>>,
    ) -> Result<(Running, Remains), Failure> {
        let outcome = timeout(manifest.init_timeout, self.create(manifest, secrets)).await;
        let failure = match outcome {
            Ok(Ok(running)) => {
                self.observer.initialised(&manifest.type_name);
                return Ok(running);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::passing(format!(
                "[INIT_COMPONENT_FAILURE]: initialization error occurred for {}: it took longer than \
                 {:?} (spec.initTimeout)",
                manifest.log_name(),
                manifest.init_timeout
            )),
        };
        let (type_name, name) = (&manifest.type_name, &manifest.name);
        self.observer.failed(type_name, failure.step, name);
        Err(failure)
    }

    async fn create(
        &self,
        manifest: &Manifest,
        secrets: Option<Arc<dyn SecretStore>>,
    ) -> Result<(Running, Remains), Failure> {
        self.registry.settled(&manifest.type_name).await;
        // A type that is not there is said before any secret is asked for.
        self.registry
            .find(&manifest.type_name, &manifest.version)
            .map_err(|error| creation_failure(manifest, &error))?;
        let metadata = self.metadata(manifest, secrets.as_deref()).await;
        let metadata = metadata.map_err(|failure| in_words(manifest, failure))?;
        let redaction = Redaction::of(manifest, &metadata);
        let instance = self.instance(manifest, metadata).await;
        instance.map_err(|failure| Failure {
            reason: redaction.apply(failure.reason),
            ..failure
        })
    }

    async fn instance(
        &self,
        manifest: &Manifest,
        metadata: Metadata,
    ) -> Result<(Running, Remains), Failure> {
        let prepared = split(manifest, &self.app_id, metadata);
        let (settings, metadata) = prepared.map_err(|failure| in_words(manifest, failure))?;
        if settings.state.encrypts() {
            info!(
                component = manifest.name,
                "the state API encrypts the values of this store"
            );
        }
        let context = ComponentContext {
            name: manifest.name.clone(),
            app_id: self.app_id.clone(),
            namespace: self.namespace.clone(),
            identity: self.identity.clone(),
            strict_sandbox: self.strict_sandbox(),
        };
        let (type_name, version) = (&manifest.type_name, &manifest.version);
        let instance = self
            .registry
            .create(type_name, version, context, metadata)
            .await
            .map_err(|error| creation_failure(manifest, &error))?;
        Ok(Running::new(&manifest.name, instance, settings))
    }

    async fn metadata(
        &self,
        manifest: &Manifest,
        secrets: Option<&dyn SecretStore>,
    ) -> Result<Metadata, Failure> {
        let resolver = Resolver {
            what: "metadata property",
            app_id: &self.app_id,
            namespace: &self.namespace,
            environment: &self.environment,
            keeper: self.keeper(manifest),
            store: secrets,
        };
        resolver.resolve(manifest).await
    }

    fn strict_sandbox(&self) -> bool {
        let configuration = self.configuration.borrow();
        configuration
            .wasm
            .as_ref()
            .is_some_and(|wasm| wasm.strict_sandbox)
    }

    pub(crate) fn keeper<'a>(&self, manifest: &'a Manifest) -> Keeper<'a> {
        manifest.keeper(self.kubernetes)
    }
}

/// Takes out what the sidecar itself does around the component.
fn split(
    manifest: &Manifest,
    app_id: &str,
    metadata: Metadata,
) -> Result<(Settings, Metadata), Failure> {
    let block = Block::of(&manifest.type_name.to_lowercase()).map(|(block, _)| block);
    match block {
        Some(Block::State) => {
            let (state, rest) = StateSettings::split(manifest, &metadata)?;
            Ok((state.into(), rest))
        }
        Some(Block::Lock) => {
            let (lock, rest) = LockSettings::split(&metadata)?;
            Ok((lock.into(), rest))
        }
        Some(Block::PubSub) => {
            let (pubsub, rest) = PubSubSettings::split(manifest, app_id, &metadata)?;
            let settings = Settings {
                pubsub,
                ..Settings::default()
            };
            Ok((settings, rest))
        }
        Some(Block::Binding) => {
            let (binding, rest) = BindingSettings::split(&metadata)?;
            let settings = Settings {
                binding,
                ..Settings::default()
            };
            Ok((settings, rest))
        }
        _ => Ok((Settings::default(), metadata)),
    }
}

fn creation_failure(manifest: &Manifest, error: &CreateError) -> Failure {
    let failure = Failure {
        reason: error.to_string(),
        passing: error.is_transient(),
        step: Step::Creation,
    };
    if error.is_init() {
        let step = Step::Init;
        return in_words(manifest, Failure { step, ..failure });
    }
    Failure {
        reason: format!(
            "[CREATE_COMPONENT_FAILURE]: creation error occurred for {}: {}",
            manifest.log_name(),
            failure.reason
        ),
        ..failure
    }
}

/// In upstream's words, which name the component.
fn in_words(manifest: &Manifest, failure: Failure) -> Failure {
    Failure {
        reason: format!(
            "[INIT_COMPONENT_FAILURE]: initialization error occurred for {}: {}",
            manifest.log_name(),
            failure.reason
        ),
        ..failure
    }
}
