//! A process of pluggable components, for tests: it serves an in-memory state store and a secret store on a socket, as
//! any process in any language would, and ends as abruptly as one that is killed.

mod secrets;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Status, transport::Server};
use trilby_components::{in_memory::InMemoryState, secret::Secret};
use trilby_proto::components::v1::{
    secret_store_server::SecretStoreServer, state_store_server::StateStoreServer,
    transactional_state_store_server::TransactionalStateStoreServer,
    transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSizeServer,
};

use crate::session::{MAX_ANSWER, Properties};

/// A running process.
pub struct Process {
    path: PathBuf,
    served: Served,
    runtime: Option<Runtime>,
}

/// What a process is like. What it stores outlives it, as a database would.
#[derive(Clone)]
pub struct Settings {
    /// What it stores.
    pub state: Arc<InMemoryState>,
    /// Its secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// What the state store says it can do.
    pub features: Vec<&'static str>,
    /// How long its transactions may be.
    pub max_operations: i64,
    /// The version of reflection that it speaks: `v1` or `v1alpha`.
    pub reflection: &'static str,
    /// With what every read of state fails.
    pub failure: Option<Status>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            secrets: BTreeMap::new(),
            features: vec!["ETAG", "TRANSACTIONAL", "TTL"],
            max_operations: -1,
            reflection: "v1",
            failure: None,
        }
    }
}

/// What the services share.
#[derive(Clone)]
struct Served {
    settings: Arc<Settings>,
    /// The components that were initialised in this process, with what they were given.
    instances: Arc<Mutex<BTreeMap<String, Properties>>>,
    /// How often each of them was.
    inits: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Serves on a socket, in the place of what is there.
    ///
    /// # Errors
    /// The socket cannot be made.
    ///
    /// # Panics
    /// When there is no such reflection.
    pub fn start(path: &Path, settings: Settings) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let served = Served {
            settings: Arc::new(settings),
            instances: Arc::default(),
            inits: Arc::default(),
        };
        runtime.spawn(serve(listener, served.clone()));
        Ok(Self {
            path: path.to_owned(),
            served,
            runtime: Some(runtime),
        })
    }

    /// The components that were initialised, in this order.
    #[must_use]
    pub fn inits(&self) -> Vec<String> {
        self.served.inits.lock().clone()
    }

    /// What a component was given.
    #[must_use]
    pub fn properties(&self, component: &str) -> Option<BTreeMap<String, String>> {
        let instances = self.served.instances.lock();
        let given = instances.get(component)?.clone();
        Some(given.into_iter().collect())
    }

    /// Where it serves.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it, with all of its connections; its socket stays behind.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(listener: UnixListener, served: Served) {
    let listener = tokio::net::UnixListener::from_std(listener).expect("it was made non-blocking");
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trilby_proto::DESCRIPTOR_SET)
    };
    let names = BTreeSet::from([
        "dapr.proto.components.v1.StateStore",
        "dapr.proto.components.v1.TransactionalStateStore",
        "dapr.proto.components.v1.TransactionalStoreMultiMaxSize",
        "dapr.proto.components.v1.SecretStore",
    ]);
    let reflection = names.iter().fold(reflection(), |builder, name| {
        builder.with_service_name(*name)
    });
    let server = Server::builder()
        .add_service(StateStoreServer::new(served.clone()).max_decoding_message_size(MAX_ANSWER))
        .add_service(TransactionalStateStoreServer::new(served.clone()))
        .add_service(TransactionalStoreMultiMaxSizeServer::new(served.clone()))
        .add_service(SecretStoreServer::new(served.clone()));
    let server = match served.settings.reflection {
        "v1" => server.add_service(reflection.build_v1().expect("the descriptors are sound")),
        "v1alpha" => server.add_service(
            reflection
                .build_v1alpha()
                .expect("the descriptors are sound"),
        ),
        other => panic!("there is no reflection {other}"),
    };
    let ended = server
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await;
    if let Err(error) = ended {
        tracing::error!(%error, "a process of pluggable components ended");
    }
}

impl Served {
    /// Whose call it is.
    fn instance<T>(request: &Request<T>) -> String {
        let name = request.metadata().get("x-component-instance");
        let name = name.and_then(|name| name.to_str().ok());
        name.unwrap_or_default().to_owned()
    }

    fn initialise(&self, component: String, properties: Properties) {
        self.inits.lock().push(component.clone());
        self.instances.lock().insert(component, properties);
    }

    /// A component that was not initialised in this process cannot be used, as a client without a connection could not.
    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let component = Self::instance(request);
        match self.instances.lock().contains_key(&component) {
            true => Ok(()),
            false => Err(Status::internal(format!(
                "{component:?} is not initialised"
            ))),
        }
    }
}
