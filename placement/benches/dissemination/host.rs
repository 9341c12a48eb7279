//! One simulated host.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, client::Grpc};
use tonic_prost::ProstCodec;
use trilby_grpc::{ChannelConfig, Target, channel};
use trilby_placement_protocol::extension;
use trilby_proto::placement::v1::{Host, HostOperation};

use crate::{crowd::Shared, order::Order};

const REPORT: PathAndQuery =
    PathAndQuery::from_static("/dapr.proto.placement.v1.Placement/ReportDaprStatus");

/// Types that each host has.
const TYPES: usize = 5;

/// How long a server may take to let hosts in.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a host takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Deltas,
    Whole,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deltas => "deltas",
            Self::Whole => "whole",
        }
    }
}

/// An open stream.
pub(crate) struct Stream {
    name: String,
    up: mpsc::Sender<Host>,
    orders: Streaming<Order>,
    /// The server answers beats.
    pub(crate) extended: bool,
    /// Hosts of the first type, as the last table has them.
    hosts: HashSet<Bytes>,
}

pub(crate) fn name(number: usize) -> String {
    format!(
        "10.{}.{}.{}:50002",
        number >> 16,
        (number >> 8) & 255,
        number & 255
    )
}

impl Stream {
    /// Reports and opens. A server that has just started may refuse it for a moment.
    pub(crate) async fn open(address: SocketAddr, number: usize, kind: Kind) -> Self {
        let opening = async {
            loop {
                match Self::try_open(address, number, kind).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, opening).await.unwrap()
    }

    async fn try_open(
        address: SocketAddr,
        number: usize,
        kind: Kind,
    ) -> Result<Self, tonic::Status> {
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        let channel = channel(target, None, ChannelConfig::default()).unwrap();
        let (up, messages) = mpsc::channel(16);
        // Upstream's answers nothing before it has seen it.
        let entities = (0..TYPES).map(|number| format!("type{number}")).collect();
        let report = Host {
            name: name(number),
            entities,
            ..message(HostOperation::Report, None)
        };
        up.send(report).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(messages));
        if kind == Kind::Deltas {
            let version = extension::VERSION.parse().unwrap();
            request.metadata_mut().insert(extension::DIALECT, version);
        }
        // A whole table of a thousand hosts is larger than what clients take by default.
        let mut client = Grpc::new(channel).max_decoding_message_size(64 << 20);
        let codec = ProstCodec::<Host, Order>::default();
        let response = client.streaming(request, REPORT, codec).await?;
        Ok(Self {
            name: name(number),
            up,
            extended: response.metadata().contains_key(extension::LEASE),
            orders: response.into_inner(),
            hosts: HashSet::new(),
        })
    }

    /// Answers every order, and tells when what it knows is what everybody waits for, until it
    /// is to leave.
    pub(crate) async fn run(mut self, shared: Arc<Shared>, mut leave: mpsc::Receiver<()>) {
        let (mut beat, mut beats) = (0, tokio::time::interval(Duration::from_secs(1)));
        loop {
            tokio::select! {
                order = self.orders.message() => match order {
                    Ok(Some(order)) => self.take(order, &shared).await,
                    Ok(None) => return shared.lose("the server ended it".to_owned()),
                    Err(status) => return shared.lose(format!("{status:?}")),
                },
                _ = beats.tick(), if self.extended => {
                    self.say(HostOperation::Unknown, Some(beat)).await;
                    beat += 1;
                }
                _ = leave.recv() => break,
            }
        }
        if self.extended {
            self.say(HostOperation::Unknown, None).await;
            while let Ok(Some(_)) = self.orders.message().await {}
        }
    }

    /// What the server does not take any more is seen where orders are read.
    async fn say(&self, operation: HostOperation, version: Option<u64>) {
        drop(self.up.send(message(operation, version)).await);
    }

    async fn take(&mut self, order: Order, shared: &Shared) {
        shared
            .received
            .fetch_add(order.encoded_len() as u64, Relaxed);
        let version = order.version;
        let operation = match order.operation.as_str() {
            "lock" => HostOperation::Lock,
            "update" => {
                self.hosts = order.hosts("type0").came().collect();
                HostOperation::Update
            }
            "delta" => {
                let change = order.hosts("type0");
                for name in change.left() {
                    self.hosts.remove(name);
                }
                self.hosts.extend(change.came());
                HostOperation::Update
            }
            "unlock" => HostOperation::Unlock,
            _ => return,
        };
        self.say(operation, Some(version)).await;
        if operation == HostOperation::Unlock {
            shared.unlocked(&self.name, self.hosts.len());
        }
    }
}

fn message(operation: HostOperation, version: Option<u64>) -> Host {
    Host {
        id: "app".to_owned(),
        namespace: "default".to_owned(),
        operation: operation.into(),
        version,
        ..Host::default()
    }
}
