//! One simulated sidecar: a connection, and on it what a sidecar asks of its operator.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use h2::{Ping, PingPong, client::SendRequest};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, interval_at, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use trilby_grpc::Backoff;
use trilby_proto::operator::v1::{
    ComponentUpdateRequest, ListComponentsRequest, ListSubscriptionsRequest,
};

use crate::{
    crowd::Shared,
    wire::{Answer, Failure, begin, call},
};

/// The streams of changes.
const STREAMS: [&str; 7] = [
    "ComponentUpdate",
    "ConfigurationUpdate",
    "SubscriptionUpdate",
    "HTTPEndpointUpdate",
    "MCPServerUpdate",
    "ResiliencyUpdate",
    "WorkflowAccessPolicyUpdate",
];
const REPORTS: &str = "/trilby.operator.v1.ResourceReports/Report";
/// How often a sidecar lists.
pub(crate) const LIST_EVERY: Duration = Duration::from_secs(60);
/// How often it asks whether the operator is still there, and how long connecting may take.
const PING_EVERY: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// Pings between two lists: both are spread over all sidecars.
const LISTS_AND_PINGS: f64 = 6.0;
/// Bytes the operator may be ahead.
const WINDOW: u32 = 256 * 1024;

pub(crate) struct Sidecar {
    pub server: SocketAddr,
    pub source: Ipv4Addr,
    pub tls: Arc<ClientConfig>,
    pub namespace: String,
    /// When within [`LIST_EVERY`] it lists.
    pub phase: Duration,
    /// Whether it asks that at all.
    pub pings: bool,
    pub shared: Arc<Shared>,
}

impl Sidecar {
    /// Is connected, for as long as the benchmark runs.
    pub(crate) async fn live(self) {
        let mut backoff = Backoff::default();
        loop {
            match self.one_connection(&mut backoff).await {
                Ok(()) => {}
                Err(_lost) => {
                    self.shared.lost();
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Ends without an error when all are to connect anew.
    async fn one_connection(&self, backoff: &mut Backoff) -> Result<(), Failure> {
        let mut anew = self.shared.anew();
        let stream = timeout(CONNECT, self.connect()).await??;
        let (client, mut connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(stream)
            .await?;
        let pings = connection.ping_pong().unwrap();
        let conversation = self.converse(client, pings, backoff);
        tokio::pin!(conversation);
        tokio::select! {
            ended = &mut connection => Err(ended.err().map_or_else(|| "closed".into(), Failure::from)),
            ended = &mut conversation => ended,
            _ = anew.changed() => Ok(()),
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((self.source, 0).into())?;
        let stream = socket.connect(self.server).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.server.ip().into());
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        Ok(connector.connect(name, stream).await?)
    }

    async fn converse(
        &self,
        client: SendRequest<Bytes>,
        mut pings: PingPong,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let mut streams = FuturesUnordered::new();
        let request = ComponentUpdateRequest {
            namespace: self.namespace.clone(),
        };
        for method in STREAMS {
            streams.push(self.follow(method, call(&client, method, &request).await?));
        }
        let _reports = begin(&client, REPORTS).await?;
        self.list(&client).await?;
        self.shared.ready();
        backoff.reset();
        let now = Instant::now();
        let mut lists = interval_at(now + self.phase, LIST_EVERY);
        let mut alive = interval_at(now + self.phase.div_f64(LISTS_AND_PINGS), PING_EVERY);
        loop {
            tokio::select! {
                Some(ended) = streams.next() => return ended,
                _ = lists.tick() => self.list(&client).await?,
                _ = alive.tick(), if self.pings => {
                    pings.ping(Ping::opaque()).await?;
                }
            }
        }
    }

    /// Tells of every component event.
    async fn follow(&self, method: &str, mut events: Answer) -> Result<(), Failure> {
        while events.next().await?.is_some() {
            if method == STREAMS[0] {
                self.shared.told();
            }
        }
        Err("the stream ended".into())
    }

    async fn list(&self, client: &SendRequest<Bytes>) -> Result<(), Failure> {
        let request = ListComponentsRequest {
            namespace: self.namespace.clone(),
        };
        let subscriptions = ListSubscriptionsRequest {
            namespace: self.namespace.clone(),
        };
        for mut list in [
            call(client, "ListComponents", &request).await?,
            call(client, "ListSubscriptionsV2", &subscriptions).await?,
            call(client, "ListMCPServers", &request).await?,
            call(client, "ListWorkflowAccessPolicy", &request).await?,
        ] {
            list.next().await?.ok_or("no list")?;
            while list.next().await?.is_some() {}
        }
        Ok(())
    }
}
