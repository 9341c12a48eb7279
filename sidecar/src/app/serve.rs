//! The servers' tasks, and when they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Service;
use trilby_bootstrap::Process;
use trilby_grpc::{Protocols, ServeConfig};

use super::{Ending, Listeners, address_of};
use crate::api::grpc::Services;
use crate::api::http::{HttpApi, HttpService, PublicService};
use crate::config::Config;

/// How long a forced end waits, so that the answer to its request gets out.
const FORCED_PAUSE: Duration = Duration::from_millis(100);
/// A client that is silent for this long is asked whether it is still there, as upstream's servers ask.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(5);

/// How the servers speak and end.
pub(super) struct Serving {
    /// TLS of the internal server.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long open requests may take at the end.
    pub grace: Duration,
}

/// How long a sidecar's open requests may take at the end.
pub(super) fn grace(config: &Config) -> Duration {
    config.ending.grace.unwrap_or(crate::process::NO_LIMIT)
}

/// Starts every server.
pub(super) fn spawn(
    process: &Process,
    (ending, serving): (&Ending, &Serving),
    (listeners, http, services): (Listeners, Arc<HttpApi>, Services),
) {
    let server = |name, protocols| Server {
        process,
        ending,
        name,
        protocols,
        grace: serving.grace,
    };
    for listener in listeners.public {
        let service = PublicService::new(Arc::clone(&http));
        server("public-http", Protocols::Http1AndHttp2).spawn(listener, None, service);
    }
    for listener in listeners.http {
        tracing::info!(address = %address_of(&listener), "HTTP API listening");
        let service = HttpService::new(Arc::clone(&http));
        server("http-api", Protocols::Http1AndHttp2).spawn(listener, None, service);
    }
    for listener in listeners.grpc {
        tracing::info!(address = %address_of(&listener), "gRPC API listening");
        server("grpc-api", Protocols::Http2).spawn(listener, None, services.api.clone());
    }
    let mtls = serving.tls.is_some();
    tracing::info!(address = %address_of(&listeners.internal), mtls, "internal gRPC listening");
    server("grpc-internal", Protocols::Http2).spawn(
        listeners.internal,
        serving.tls.clone(),
        services.internal,
    );
}

/// One server about to start.
struct Server<'a> {
    process: &'a Process,
    ending: &'a Ending,
    name: &'static str,
    protocols: Protocols,
    grace: Duration,
}

impl Server<'_> {
    fn spawn<S>(self, listener: TcpListener, tls: Option<Arc<ServerConfig>>, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let config = ServeConfig {
            protocols: self.protocols,
            keepalive_interval: KEEPALIVE,
            keepalive_timeout: KEEPALIVE_LIMIT,
            drain: self.grace,
            ..ServeConfig::new(self.name)
        };
        let served = trilby_grpc::serve(
            listener,
            tls,
            service,
            (config, self.ending.serving.clone()),
        );
        let in_use = Arc::clone(&self.ending.in_use);
        self.process.spawn(self.name, async move {
            served.await;
            drop(in_use);
            Ok(())
        });
    }
}

impl Ending {
    /// Ends serving when the process is told to end: at once, or after the configured time, unless the
    /// application becomes unhealthy before.
    pub(super) fn spawn(
        &self,
        process: &Process,
        config: &Config,
        mut healthy: watch::Receiver<bool>,
    ) {
        let (serving, forced) = (self.serving.clone(), self.forced.clone());
        let (shutdown, block) = (process.shutdown(), config.ending.block);
        process.spawn("ending", async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = forced.cancelled() => {
                    tokio::time::sleep(FORCED_PAUSE).await;
                    tracing::warn!("ending at once, as asked through the API");
                    std::process::exit(1);
                }
            }
            if let Some(block) = block {
                tracing::info!(
                    ?block,
                    "still serving for this long, unless the application becomes unhealthy"
                );
                tokio::select! {
                    () = tokio::time::sleep(block) => {}
                    Ok(_) = healthy.wait_for(|healthy| !healthy) => {}
                    () = forced.cancelled() => {}
                }
            }
            serving.cancel();
            Ok(())
        });
    }
}
