//! A sidecar inside this process, built from flags as the binary builds it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use trilby_bootstrap::Process;
use trilby_bootstrap::args::parse_from;
use trilby_components::name_resolution::{NameResolver, Query, ResolveError};
use trilby_components::registry::Registry;
use trilby_sidecar::app::{self, Parts};
use trilby_sidecar::config::Config;
use trilby_sidecar::environment::Environment;
use trilby_sidecar_args::SidecarArgs;
use trilby_testkit::http::{Client, Response};

use crate::sentry::{self, Sentry};

/// Knows the sidecars of one test by their application.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<HashMap<(String, String), SocketAddr>>>);

#[async_trait]
impl NameResolver for Directory {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        let key = (query.app_id.to_owned(), query.namespace.to_owned());
        let found = self.0.lock().get(&key).map(ToString::to_string);
        found.ok_or_else(|| {
            ResolveError(format!(
                "no sidecar of {}.{} in this test",
                query.app_id, query.namespace
            ))
        })
    }
}

impl Directory {
    /// Sends calls of one application to an address, whoever listens there.
    pub(crate) fn point(&self, app_id: &str, namespace: &str, address: SocketAddr) {
        self.0
            .lock()
            .insert((app_id.to_owned(), namespace.to_owned()), address);
    }
}

/// How a sidecar is started.
pub(crate) struct Settings<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) app: Option<SocketAddr>,
    pub(crate) sentry: Option<&'a Sentry>,
    pub(crate) resources: Option<&'a Path>,
    pub(crate) flags: Vec<String>,
    pub(crate) environment: Environment,
    pub(crate) registry: Registry,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(app_id: &'a str) -> Self {
        let environment = Environment {
            namespace: "default".to_owned(),
            ..Environment::default()
        };
        Self {
            app_id,
            app: None,
            sentry: None,
            resources: None,
            flags: Vec::new(),
            environment,
            registry: Registry::in_memory(),
        }
    }

    pub(crate) fn app(mut self, app: SocketAddr) -> Self {
        self.app = Some(app);
        self
    }

    pub(crate) fn sentry(mut self, sentry: &'a Sentry) -> Self {
        self.sentry = Some(sentry);
        self
    }

    pub(crate) fn resources(mut self, folder: &'a Path) -> Self {
        self.resources = Some(folder);
        self
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub(crate) fn environment(mut self, change: impl FnOnce(&mut Environment)) -> Self {
        change(&mut self.environment);
        self
    }

    pub(crate) fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    fn config(mut self) -> (Config, Registry) {
        let flags = "--dapr-http-port=0 --dapr-grpc-port=0 --dapr-listen-addresses=127.0.0.1 \
                     --dapr-internal-grpc-listen-address=127.0.0.1 --dapr-graceful-shutdown-seconds=1";
        let mut args: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        args.push(format!("--app-id={}", self.app_id));
        if let Some(app) = self.app {
            args.push(format!("--app-port={}", app.port()));
        }
        if let Some(folder) = self.resources {
            args.push(format!("--resources-path={}", folder.display()));
        }
        if let Some(sentry) = self.sentry {
            args.push("--enable-mtls".to_owned());
            args.push(format!("--sentry-address={}", sentry.address()));
            args.push(format!(
                "--control-plane-trust-domain={}",
                sentry::TRUST_DOMAIN
            ));
            args.push(format!("--control-plane-namespace={}", sentry::NAMESPACE));
            self.environment.trust_anchors = Some(sentry.anchors());
        }
        args.extend(self.flags);
        let args: SidecarArgs =
            parse_from(std::iter::once("daprd".to_owned()).chain(args)).unwrap();
        (Config::new(&args, self.environment).unwrap(), self.registry)
    }
}

/// A running sidecar; it ends with the test's runtime.
pub(crate) struct Sidecar {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) process: Process,
}

impl Sidecar {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(settings: Settings<'_>, directory: &Directory) -> Self {
        let sidecar = Self::launch(settings, directory).await;
        let ready = tokio::time::timeout(
            Duration::from_secs(20),
            sidecar.process.readiness().wait_ready(),
        )
        .await;
        assert!(
            ready.is_ok(),
            "not ready: {:?}",
            sidecar.process.readiness().missing()
        );
        sidecar
    }

    /// Starts one that need not become ready.
    pub(crate) async fn launch(settings: Settings<'_>, directory: &Directory) -> Self {
        let (config, registry) = settings.config();
        let key = (config.app_id.clone(), config.environment.namespace.clone());
        let process = Process::for_test();
        let parts = Parts {
            registry,
            resolver: Some(Arc::new(directory.clone())),
        };
        let building =
            tokio::time::timeout(Duration::from_secs(20), app::build(config, parts, &process));
        let bound = building.await.expect("built in time").unwrap();
        let (http, grpc, internal) = (bound.http_addr(), bound.grpc_addr(), bound.internal_addr());
        directory.point(&key.0, &key.1, internal);
        bound.start();
        Self {
            http,
            grpc,
            internal,
            process,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        Client::host().get(&self.url(path)).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Response {
        Client::host().post(&self.url(path), body).await.unwrap()
    }

    pub(crate) async fn request(&self, request: http::request::Builder, body: &str) -> Response {
        let request: Request<Bytes> = request
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        Client::host().request(request).await.unwrap()
    }
}
