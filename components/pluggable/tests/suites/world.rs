//! A folder of sockets, and the host that looks into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_components::secret::SecretStore;
use trilby_components::state::StateStore;
use trilby_components_pluggable::{
    host,
    testing::{Process, Settings},
};

pub(crate) struct World {
    folder: tempfile::TempDir,
    registry: Registry,
    _running: DropGuard,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let (source, running) = host(folder.path().to_owned(), cancel.clone());
        tokio::spawn(running);
        Self {
            folder,
            registry: Registry::in_memory().with_source(source),
            _running: cancel.drop_guard(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.sock"))
    }

    pub(crate) fn process(&self, name: &str, settings: Settings) -> Process {
        Process::start(&self.path(name), settings).unwrap()
    }

    /// Creates a component as the sidecar does.
    pub(crate) async fn create(
        &self,
        type_name: &str,
        name: &str,
    ) -> Result<Instance, CreateError> {
        let context = ComponentContext {
            name: name.to_owned(),
            ..ComponentContext::default()
        };
        let metadata = Metadata::new([("Setting", format!("of {name}"))]).unwrap();
        self.registry.settled(type_name).await;
        self.registry
            .create(type_name, "v1", context, metadata)
            .await
    }

    pub(crate) async fn state(
        &self,
        name: &str,
        component: &str,
    ) -> Result<Arc<dyn StateStore>, CreateError> {
        match self.create(&format!("state.{name}"), component).await? {
            Instance::State(store) => Ok(store),
            other => panic!("not a state store: {other:?}"),
        }
    }

    pub(crate) async fn secrets(
        &self,
        name: &str,
        component: &str,
    ) -> Result<Arc<dyn SecretStore>, CreateError> {
        match self
            .create(&format!("secretstores.{name}"), component)
            .await?
        {
            Instance::Secret(store) => Ok(store),
            other => panic!("not a secret store: {other:?}"),
        }
    }
}
