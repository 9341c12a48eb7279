//! A placement that holds one round at a time, as the real one does: every host acknowledges each phase before the
//! next begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use trilby_grpc::ServeConfig;
use trilby_identity::{ClientAuth, Publisher};
use trilby_proto::placement::v1::placement_server::{Placement as Service, PlacementServer};
use trilby_proto::placement::v1::{
    Host, HostOperation, PlacementOrder, PlacementTable, PlacementTables,
};

use crate::sentry::{self, Sentry};

const PHASES: [(&str, HostOperation); 3] = [
    ("lock", HostOperation::Lock),
    ("update", HostOperation::Update),
    ("unlock", HostOperation::Unlock),
];

/// A running placement.
pub(crate) struct Placement {
    address: SocketAddr,
    _identity: Publisher,
}

type Orders = mpsc::Sender<Result<PlacementOrder, Status>>;

enum News {
    Joined(usize, Orders),
    Heard(usize, Host),
    Left(usize),
}

#[derive(Clone)]
struct Door(mpsc::Sender<News>);

impl Placement {
    pub(crate) async fn start(sentry: &Sentry) -> Self {
        let id = format!(
            "spiffe://{}/ns/{}/dapr-placement",
            sentry::TRUST_DOMAIN,
            sentry::NAMESPACE
        );
        let (publisher, identity) = sentry.identity(&id);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, news) = mpsc::channel(64);
        tokio::spawn(Rounds::default().run(news));
        let routes = tonic::service::Routes::new(PlacementServer::new(Door(tell))).prepare();
        let tls = identity.server_tls(ClientAuth::Required);
        let options = (ServeConfig::new("placement"), CancellationToken::new());
        tokio::spawn(trilby_grpc::serve(listener, Some(tls), routes, options));
        Self {
            address,
            _identity: publisher,
        }
    }

    pub(crate) fn flag(&self) -> String {
        format!("--placement-host-address={}", self.address)
    }
}

#[tonic::async_trait]
impl Service for Door {
    type ReportDaprStatusStream =
        Pin<Box<dyn Stream<Item = Result<PlacementOrder, Status>> + Send>>;

    async fn report_dapr_status(
        &self,
        request: Request<Streaming<Host>>,
    ) -> Result<Response<Self::ReportDaprStatusStream>, Status> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let stream = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (orders, receiver) = mpsc::channel(64);
        let tell = self.0.clone();
        tell.send(News::Joined(stream, orders)).await.unwrap();
        let mut messages = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(host)) = messages.next().await {
                tell.send(News::Heard(stream, host)).await.unwrap();
            }
            tell.send(News::Left(stream)).await.unwrap();
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

#[derive(Default)]
struct Rounds {
    streams: BTreeMap<usize, Orders>,
    hosts: BTreeMap<usize, Host>,
    version: u64,
    /// The phase under way and who has not acknowledged it.
    phase: Option<(usize, BTreeSet<usize>)>,
    changed: bool,
}

impl Rounds {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        while let Some(news) = news.recv().await {
            match news {
                News::Joined(stream, orders) => drop(self.streams.insert(stream, orders)),
                News::Heard(stream, host) if host.operation() == HostOperation::Report => {
                    self.hosts.insert(stream, host);
                    self.changed = true;
                }
                News::Heard(stream, host) => self.acknowledged(stream, &host),
                News::Left(stream) => {
                    self.streams.remove(&stream);
                    self.hosts.remove(&stream);
                    self.changed = true;
                    if let Some((_, waiting)) = &mut self.phase {
                        waiting.remove(&stream);
                    }
                }
            }
            self.advance().await;
        }
    }

    fn acknowledged(&mut self, stream: usize, host: &Host) {
        if let Some((phase, waiting)) = &mut self.phase
            && PHASES[*phase].1 == host.operation()
        {
            waiting.remove(&stream);
        }
    }

    async fn advance(&mut self) {
        while self
            .phase
            .as_ref()
            .is_none_or(|(_, waiting)| waiting.is_empty())
        {
            let next = match self.phase.take() {
                Some((phase, _)) if phase + 1 < PHASES.len() => phase + 1,
                _ if self.changed => {
                    self.changed = false;
                    self.version += 1;
                    0
                }
                _ => return,
            };
            self.order(next).await;
            self.phase = Some((next, self.hosts.keys().copied().collect()));
        }
    }

    async fn order(&self, phase: usize) {
        let order = PlacementOrder {
            operation: PHASES[phase].0.to_owned(),
            version: self.version,
            tables: (PHASES[phase].0 == "update").then(|| self.tables()),
        };
        for stream in self.hosts.keys() {
            drop(self.streams[stream].send(Ok(order.clone())).await);
        }
    }

    fn tables(&self) -> PlacementTables {
        let mut entries: HashMap<String, PlacementTable> = HashMap::new();
        for host in self.hosts.values() {
            for entity in &host.entities {
                let table = entries.entry(entity.clone()).or_default();
                table.load_map.insert(host.name.clone(), host.clone());
            }
        }
        PlacementTables {
            entries,
            replication_factor: 100,
            ..Default::default()
        }
    }
}
