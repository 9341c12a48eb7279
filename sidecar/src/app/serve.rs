//! The servers' tasks: what is served where, and how.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tower::Service;
use trilby_bootstrap::Process;
use trilby_grpc::{Protocols, ServeConfig};

use super::Ending;
use super::listeners::{Listeners, Socket};
use crate::api::grpc::Services;
use crate::api::http::{HttpApi, HttpService, PublicService};
use crate::config::Config;

/// A client that is silent for this long is asked whether it is still there, as upstream's servers ask.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(5);
/// How long a gRPC connection may be without a call, as upstream has it.
const GRPC_IDLE: Duration = Duration::from_secs(3 * 60);
/// What Go's servers grant beyond the configured head, and upstream's with them.
const HEAD_MARGIN: usize = 4 * 1024;
/// The least that a gRPC call's metadata may have. Upstream means its head limit in bytes and applies it in
/// kilobytes; callers send tokens of more than its 4 KiB.
const LEAST_METADATA: usize = 64 * 1024;

/// How the servers speak.
pub(super) struct Serving {
    /// TLS of the internal server.
    pub tls: Option<Arc<ServerConfig>>,
    /// What the HTTP API speaks.
    pub http: Protocols,
    /// The largest head of a request in bytes, as configured.
    pub max_head: usize,
}

impl Serving {
    /// As configured; `tls` is the internal server's.
    pub(super) fn new(config: &Config, tls: Option<Arc<ServerConfig>>) -> Self {
        let http = if config.environment.h2c_disabled {
            Protocols::Http1
        } else {
            Protocols::Http1AndH2c
        };
        Self {
            tls,
            http,
            max_head: config.servers.max_head,
        }
    }

    fn http(&self, name: &'static str, protocols: Protocols) -> ServeConfig {
        ServeConfig {
            protocols,
            max_head: self.max_head.saturating_add(HEAD_MARGIN),
            ..common(name)
        }
    }

    fn grpc(&self, name: &'static str) -> ServeConfig {
        ServeConfig {
            protocols: Protocols::Http2,
            max_head: self.max_head.max(LEAST_METADATA),
            max_idle: Some(GRPC_IDLE),
            ..common(name)
        }
    }
}

/// Open requests have all the time they want: [`Ending`] bounds the end of the whole process.
fn common(name: &'static str) -> ServeConfig {
    ServeConfig {
        keepalive_interval: KEEPALIVE,
        keepalive_timeout: KEEPALIVE_LIMIT,
        drain: crate::process::NO_LIMIT,
        ..ServeConfig::new(name)
    }
}

/// Starts every server.
pub(super) fn spawn(
    process: &Process,
    (ending, serving): (&Ending, &Serving),
    (listeners, http, services): (Listeners, Arc<HttpApi>, Services),
) {
    let server = |config| Server {
        process,
        ending,
        config,
    };
    for socket in listeners.public {
        let config = serving.http("public-http", Protocols::Http1);
        server(config).spawn(socket, None, PublicService::new(Arc::clone(&http)));
    }
    for socket in listeners.http {
        tracing::info!(address = %socket, "HTTP API listening");
        let config = serving.http("http-api", serving.http);
        server(config).spawn(socket, None, HttpService::new(Arc::clone(&http)));
    }
    for socket in listeners.grpc {
        tracing::info!(address = %socket, "gRPC API listening");
        server(serving.grpc("grpc-api")).spawn(socket, None, services.api.clone());
    }
    let mtls = serving.tls.is_some();
    tracing::info!(address = %listeners.internal, mtls, "internal gRPC listening");
    server(serving.grpc("grpc-internal")).spawn(
        listeners.internal,
        serving.tls.clone(),
        services.internal,
    );
}

/// One server about to start.
struct Server<'a> {
    process: &'a Process,
    ending: &'a Ending,
    config: ServeConfig,
}

impl Server<'_> {
    fn spawn<S>(self, socket: Socket, tls: Option<Arc<ServerConfig>>, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let (name, serving) = (self.config.name, self.ending.serving.clone());
        let (listener, file) = socket.into_parts();
        let served = trilby_grpc::serve(listener, tls, service, (self.config, serving));
        let in_use = Arc::clone(&self.ending.in_use);
        self.process.spawn(name, async move {
            served.await;
            drop((in_use, file));
            Ok(())
        });
    }
}
