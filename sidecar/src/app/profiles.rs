//! The server of profiles, and of the log level. It is there from the first moment of the start, since a start that
//! hangs is what one wants to look into.

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::service_fn;
use trilby_bootstrap::{Process, log};
use trilby_grpc::{PeerIdentity, Protocols, ServeConfig};
use trilby_profiling::PREFIX;

use crate::config::Config;
use crate::listen::listen_all;

/// Clients at once. They are people.
const CONNECTIONS: usize = 16;

/// Serves on every address of the APIs, if profiles are to be offered.
///
/// # Errors
/// The port is taken.
pub(super) async fn start(config: &Config, process: &Process) -> anyhow::Result<()> {
    let Some(port) = config.servers.profile_port else {
        return Ok(());
    };
    let listeners = listen_all(&config.servers.addresses, port)
        .await
        .context("profiling port")?;
    for listener in listeners {
        let address = listener.local_addr()?;
        tracing::info!(%address, "profiling server listening: whoever reaches it may read profiles");
        let config = ServeConfig {
            protocols: Protocols::Http1,
            max_connections: CONNECTIONS,
            // A profile that is being taken keeps no process alive.
            drain: std::time::Duration::ZERO,
            ..ServeConfig::new("profiling")
        };
        let answering = process.clone();
        let service = service_fn(move |request| answer(answering.clone(), request));
        let served = trilby_grpc::serve(listener, None, service, (config, process.shutdown()));
        process.spawn("profiling", async move {
            served.await;
            Ok(())
        });
    }
    Ok(())
}

async fn answer(
    process: Process,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    Ok(if path.starts_with(PREFIX) {
        trilby_profiling::answer(request).await
    } else if let Some(level) = path.strip_prefix(log::PATH) {
        set_level(&process, &request, level)
    } else if path == PREFIX.trim_end_matches('/') {
        let mut reply = text(StatusCode::MOVED_PERMANENTLY, "");
        let index = HeaderValue::from_static(PREFIX);
        reply.headers_mut().insert(header::LOCATION, index);
        reply
    } else {
        text(StatusCode::NOT_FOUND, "404 page not found\n")
    })
}

fn set_level(process: &Process, request: &Request<Incoming>, level: &str) -> Response<Full<Bytes>> {
    let client = request.extensions().get::<PeerIdentity>();
    match (process.log(), client.and_then(|peer| peer.addr)) {
        (Some(log), Some(client)) => {
            let (status, answer) = log.answer(request.method(), level, client);
            text(status, answer)
        }
        _ => text(StatusCode::NOT_FOUND, "there is no log here\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, plain);
    reply
}
