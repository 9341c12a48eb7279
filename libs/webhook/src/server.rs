//! The HTTPS server of a webhook.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;
use trilby_bootstrap::Latch;
use trilby_grpc::{Protocols, ServeConfig};
use trilby_identity::{ClientAuth, Identity};

/// Reviews in flight end within this, as upstream's.
const DRAIN: Duration = Duration::from_secs(5);

/// A webhook whose socket is open.
pub struct Server {
    /// Where the API server calls.
    pub listener: TcpListener,
    /// What it may ask.
    pub routes: Router,
    /// Who answers.
    pub identity: Identity,
    /// Ready from the moment that calls are answered.
    pub latch: Latch,
}

/// Serves until `cancel`. Whoever calls before there is a certificate waits in the kernel's queue instead of being
/// refused for want of one.
///
/// # Errors
/// No certificate can ever come.
pub async fn serve(server: Server, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut svid = server.identity.svid();
    tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        first = svid.wait_for(Option::is_some) => drop(first.context("no identity will come")?),
    }
    let config = ServeConfig {
        protocols: Protocols::Http1AndHttp2,
        drain: DRAIN,
        ..ServeConfig::new("webhook")
    };
    let address = server.listener.local_addr()?;
    info!(%address, "serving the webhook");
    server.latch.ready();
    let tls = server.identity.server_tls(ClientAuth::None);
    trilby_grpc::serve(server.listener, Some(tls), server.routes, (config, cancel)).await;
    Ok(())
}
