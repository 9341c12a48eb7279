//! Three replicas as processes, and a sidecar reduced to opening its stream.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::placement::v1::{
    Host, HostOperation, PlacementOrder, placement_client::PlacementClient,
};
use trilby_testkit::eventually::eventually;
use trilby_testkit::services::Placement;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const LEADER_KEY: &str = "trilby-placement-leader";

pub(crate) struct Replicas {
    pub(crate) nodes: Vec<Placement>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A stream that was let in.
pub(crate) struct Stream {
    _hosts: mpsc::Sender<Host>,
    orders: Streaming<PlacementOrder>,
}

// === impl Replicas ===

impl Replicas {
    /// Three in plain text, with these flags.
    pub(crate) async fn start(flags: &[(&str, &str)]) -> Self {
        let configured = (0..3).map(|_| {
            let flag = |it: Placement, (name, value): &(&str, &str)| it.arg(name, value);
            flags.iter().fold(Placement::new(), flag)
        });
        Self::run(configured.collect(), None).await
    }

    /// These, which sidecars reach with `tls`.
    pub(crate) async fn run(nodes: Vec<Placement>, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        let mut nodes = Placement::replicas(nodes);
        nodes.iter_mut().for_each(Placement::launch);
        for node in &mut nodes {
            node.healthy().await;
        }
        Self { nodes, tls }
    }

    /// Opens a stream to one of them.
    pub(crate) async fn open(&self, node: usize) -> Result<Stream, Status> {
        let opened = tokio::time::timeout(PATIENCE, self.open_stream(node)).await;
        opened.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
    }

    async fn open_stream(&self, node: usize) -> Result<Stream, Status> {
        let address = self.nodes[node].grpc_address();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        let channel = trilby_grpc::channel(target, self.tls.clone(), ChannelConfig::default())
            .expect("an address");
        let (hosts, outgoing) = mpsc::channel(4);
        let host = Host {
            name: "10.0.0.1:50002".into(),
            id: "app".into(),
            namespace: "default".into(),
            entities: vec!["A".into()],
            operation: HostOperation::Report.into(),
            ..Host::default()
        };
        hosts.send(host).await.expect("there is room");
        let response = PlacementClient::new(channel)
            .report_dapr_status(ReceiverStream::new(outgoing))
            .await?;
        let mut orders = response.into_inner();
        let first = orders.message().await?;
        first.ok_or_else(|| Status::unavailable("it ended without a word"))?;
        Ok(Stream {
            _hosts: hosts,
            orders,
        })
    }

    /// Waits until one of them lets a stream in.
    pub(crate) async fn leader(&self) -> (usize, Stream) {
        eventually("one of the replicas leads", async || {
            let mut reasons = Vec::new();
            for node in (0..self.nodes.len()).filter(|node| self.nodes[*node].pid().is_some()) {
                match self.open(node).await {
                    Ok(stream) => return Ok((node, stream)),
                    Err(status) => reasons.push(format!("{node}: {status:?}")),
                }
            }
            Err(reasons.join("; "))
        })
        .await
    }

    /// Kills the leader and gives the time until another leads, and who that is.
    pub(crate) async fn fail_over(&mut self, leader: usize) -> (Duration, usize) {
        self.nodes[leader].kill().await;
        let killed = tokio::time::Instant::now();
        let (next, _stream) = self.leader().await;
        assert_ne!(next, leader);
        (killed.elapsed(), next)
    }

    /// Stops the process without ending it.
    pub(crate) fn freeze(&self, node: usize) {
        self.signal(node, Signal::STOP);
    }

    pub(crate) fn thaw(&self, node: usize) {
        self.signal(node, Signal::CONT);
    }

    fn signal(&self, node: usize, signal: Signal) {
        let pid = self.nodes[node]
            .pid()
            .and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("it is our child");
    }
}

// === impl Stream ===

impl Stream {
    /// The status with which it ends.
    pub(crate) async fn ended(mut self) -> Status {
        let ended = async {
            loop {
                match self.orders.message().await {
                    Ok(Some(_order)) => {}
                    Ok(None) => panic!("the stream ended without a status"),
                    Err(status) => return status,
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("the stream ends")
    }
}
