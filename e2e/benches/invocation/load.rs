//! The app that is called, and the open-loop load.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

const BODY: &[u8] =
    b"{\"hello\":\"world\",\"padding\":\"0123456789012345678901234567890123456789\"}";

/// An app on loopback that echoes.
pub(crate) struct App {
    address: SocketAddr,
}

impl App {
    /// Serves until the process ends.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener));
        Ok(Self { address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        let service = hyper::service::service_fn(echo);
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// Milliseconds of every request.
#[derive(Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    /// Adds those of another slice.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// For instance the median, with 0.5.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (quantile * sorted.len() as f64) as usize;
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// An open loop over a fixed number of connections.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Requests a second, over all connections.
    pub(crate) rate: u32,
    /// Connections.
    pub(crate) connections: u32,
    /// For how long.
    pub(crate) slice: Duration,
}

impl Load {
    /// Calls this path at this address; every answer must be a 200 with the body that was sent.
    pub(crate) async fn run(self, address: SocketAddr, path: &'static str) -> Result<Latencies> {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let start = Instant::now() + Duration::from_millis(50);
        let mut tasks = JoinSet::new();
        for connection in 0..self.connections {
            let first = start + interval * connection / self.connections;
            tasks.spawn(self.one_connection(address, path, first));
        }
        let mut all = Latencies::default();
        while let Some(latencies) = tasks.join_next().await {
            all.extend(Latencies(latencies??));
        }
        Ok(all)
    }

    async fn one_connection(
        self,
        address: SocketAddr,
        path: &'static str,
        first: Instant,
    ) -> Result<Vec<f64>> {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let count = (self.slice.as_secs_f64() / interval.as_secs_f64()) as u32;
        let mut sender = connect(address).await?;
        let mut latencies = Vec::with_capacity(count as usize);
        for index in 0..count {
            let due = first + interval * index;
            tokio::time::sleep_until(due).await;
            call(&mut sender, address, path).await?;
            latencies.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(latencies)
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| address.to_string())?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    path: &str,
) -> Result<()> {
    let request = Request::post(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(BODY)))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success() && body == BODY,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}
