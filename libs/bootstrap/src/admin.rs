//! The health and metrics servers.
//!
//! Both run on one thread with a runtime of its own: they answer while the service is busy, and a probe never
//! takes a turn on the service's workers. Connections are few, short-lived and bounded.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use crate::{
    log::{self, LogHandle},
    metrics::{Metrics, Scrape},
    readiness::Readiness,
};

#[cfg(test)]
mod tests;

/// Open connections per server; more wait in the system's backlog.
const CONNECTIONS: usize = 64;
/// How long a client may take to send its request line and headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer of a route on the health port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminReply {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

/// `GET` routes that services add to the health port. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct AdminRoutes(Arc<RwLock<BTreeMap<&'static str, Route>>>);

pub(crate) type Route = Arc<dyn Fn() -> AdminReply + Send + Sync>;

/// What the health port answers from.
pub(crate) struct Health {
    pub readiness: Readiness,
    pub routes: AdminRoutes,
    /// Present where changing the log level is allowed: to clients on this machine, or in this pod, only.
    pub log: Option<LogHandle>,
}

type Answer = Arc<dyn Fn(&Asked<'_>) -> Reply + Send + Sync>;

/// What a request asks for, and who does.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    peer: SocketAddr,
}

/// The answer to one request.
enum Reply {
    Whole(AdminReply),
    Metrics(Scrape),
}

/// A body that is made while it is sent: a scrape of many metrics is never in memory as a whole.
enum Pieces {
    One(Option<Bytes>),
    Scrape(Scrape),
}

/// Servers with open sockets, not answering yet.
#[derive(Default)]
pub(crate) struct Admin(Vec<(TcpListener, Answer)>);

impl AdminReply {
    /// `200 OK` with a JSON document.
    #[must_use]
    pub fn json(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body,
        }
    }

    fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

impl AdminRoutes {
    pub(crate) fn insert(&self, path: &'static str, route: Route) {
        self.0.write().insert(path, route);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Route> {
        self.0.read().get(path).cloned()
    }
}

impl Admin {
    /// Adds the health server.
    pub(crate) fn health(&mut self, listener: TcpListener, health: Health) -> io::Result<()> {
        info!(target: "dapr.health", address = %listener.local_addr()?, "health server listening");
        self.0.push((
            listener,
            Arc::new(move |asked| Reply::Whole(answer_health(&health, asked))),
        ));
        Ok(())
    }

    /// Adds the metrics server, which answers any path.
    pub(crate) fn metrics(&mut self, listener: TcpListener, metrics: Metrics) -> io::Result<()> {
        info!(target: "dapr.metrics", address = %listener.local_addr()?, "metrics server listening");
        self.0.push((
            listener,
            Arc::new(move |_asked| Reply::Metrics(metrics.scrape())),
        ));
        Ok(())
    }

    /// Answers on a thread of its own until the process ends.
    pub(crate) fn start(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("admin".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || runtime.block_on(self.serve()))?;
        Ok(())
    }

    async fn serve(self) {
        let mut servers = tokio::task::JoinSet::new();
        for (listener, answer) in self.0 {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(servers.spawn(accept(listener, answer))),
                Err(error) => warn!(%error, "cannot serve health or metrics"),
            }
        }
        while servers.join_next().await.is_some() {}
    }
}

fn answer_health(health: &Health, asked: &Asked<'_>) -> AdminReply {
    if let (Some(level), Some(log)) = (asked.path.strip_prefix(log::PATH), &health.log) {
        let (status, text) = log.answer(asked.method, level, asked.peer);
        return AdminReply::text(status, text);
    }
    if asked.path == "/healthz" {
        return match health.readiness.missing() {
            _ if health.readiness.is_ready() => AdminReply::text(StatusCode::OK, ""),
            missing => AdminReply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready\n{}\n", missing.join("\n")),
            ),
        };
    }
    match health.routes.get(asked.path) {
        Some(route) => route(),
        None => AdminReply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

async fn accept(listener: tokio::net::TcpListener, answer: Answer) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    serve_connection(stream, peer, answer).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: give the service time to close some.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, peer: SocketAddr, answer: Answer) {
    let service = service_fn(move |request: Request<Incoming>| {
        let reply = answer(&Asked {
            method: request.method(),
            path: request.uri().path(),
            peer,
        });
        async move { Ok::<_, Infallible>(response(reply)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, %peer, "admin connection ended");
    }
}

fn response(reply: Reply) -> Response<Pieces> {
    let (status, content_type, body) = match reply {
        Reply::Whole(reply) => (
            reply.status,
            reply.content_type,
            Pieces::One(Some(reply.body.into())),
        ),
        Reply::Metrics(scrape) => (
            StatusCode::OK,
            prometheus::TEXT_FORMAT,
            Pieces::Scrape(scrape),
        ),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::One(body) => body.take(),
            Self::Scrape(scrape) => scrape.next(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::One(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Scrape(_) => SizeHint::default(),
        }
    }
}
