//! Real stores, and sidecars that use them.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, Instance, Registry};
use trilby_components::state::StateStore;
use trilby_testkit::servers::postgres::{Postgres, USER};
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Store {
    Redis,
    Postgres,
    Sqlite,
}

impl Store {
    pub(crate) const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Sqlite];

    /// Its component's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgresql",
            Self::Sqlite => "sqlite",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Postgres => "v2",
            Self::Redis | Self::Sqlite => "v1",
        }
    }
}

/// The servers.
pub(crate) struct Scene {
    redis: Redis,
    postgres: Postgres,
    folder: tempfile::TempDir,
}

/// One sidecar, with every store as a component.
pub(crate) struct Sidecar {
    daprd: Daprd,
    name: String,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self {
            redis: Redis::start().await,
            postgres: Postgres::start().await,
            folder: tempfile::tempdir().expect("there is room for a folder"),
        }
    }

    fn metadata(&self, store: Store) -> Vec<(&'static str, String)> {
        match store {
            Store::Redis => vec![
                ("redisHost", self.redis.address().to_string()),
                ("redisPassword", String::new()),
            ],
            Store::Postgres => {
                let (host, port) = (self.postgres.address().ip(), self.postgres.address().port());
                let string = format!("host={host} port={port} user={USER} database={USER}");
                vec![("connectionString", string)]
            }
            Store::Sqlite => {
                let file = self.folder.path().join("state.db");
                vec![("connectionString", file.display().to_string())]
            }
        }
    }

    /// The store's client in this process.
    pub(crate) async fn open(&self, store: Store) -> Arc<dyn StateStore> {
        let registry = Registry::default()
            .with(trilby_components_redis::backends())
            .with(trilby_components_postgresql::backends())
            .with(trilby_components_sqlite::backends());
        let metadata = Metadata::new(self.metadata(store)).expect("no name is given twice");
        let type_name = format!("state.{}", store.name());
        let context = ComponentContext::default();
        let created = registry.create(&type_name, store.version(), context, metadata);
        match created.await.expect("the server runs") {
            Instance::State(store) => store,
            other => panic!("no state store: {other:?}"),
        }
    }

    pub(crate) async fn sidecar(&self, binary: &Path) -> Sidecar {
        let name = binary
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default();
        let name = name.display().to_string();
        let resources = self.folder.path().join("resources");
        std::fs::create_dir_all(&resources).expect("the folder is writable");
        for store in Store::ALL {
            let file = resources.join(format!("{}.yaml", store.name()));
            std::fs::write(file, self.component(store)).expect("the folder is writable");
        }
        let daprd = Daprd::new("bench").binary(binary.to_owned());
        let mut daprd = daprd.arg("--resources-path", resources.display());
        daprd.start().await;
        Sidecar { daprd, name }
    }

    fn component(&self, store: Store) -> String {
        let (name, version) = (store.name(), store.version());
        let mut text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: state.{name}\n  \
             version: {version}\n  metadata:\n  - name: keyPrefix\n    value: none\n"
        );
        for (name, value) in self.metadata(store) {
            text += &format!("  - name: {name}\n    value: \"{value}\"\n");
        }
        text
    }
}

impl Sidecar {
    /// For the report: the directory of the binary.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.daprd.grpc_address()
    }
}

impl Deref for Sidecar {
    type Target = Daprd;

    fn deref(&self) -> &Daprd {
        &self.daprd
    }
}
