//! A sidecar reduced to its stream.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use trilby_grpc::{ChannelConfig, Target};
use trilby_proto::placement::v1::{
    Host, HostOperation, PlacementOrder, placement_client::PlacementClient,
};
use trilby_testkit::services::Placement;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One stream, not yet reported on.
pub(crate) struct Client {
    pub(crate) app_id: String,
    name: String,
    hosts: mpsc::Sender<Host>,
    orders: Streaming<PlacementOrder>,
}

impl Client {
    pub(crate) async fn connect(placement: &Placement, name: &str) -> Self {
        let address = placement.grpc_address();
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        let channel =
            trilby_grpc::channel(target, None, ChannelConfig::default()).expect("an address");
        let (hosts, outgoing) = mpsc::channel(16);
        let stream = PlacementClient::new(channel)
            .report_dapr_status(ReceiverStream::new(outgoing))
            .await;
        let orders = stream.expect("placement accepts streams").into_inner();
        Self {
            app_id: "app".to_owned(),
            name: name.to_owned(),
            hosts,
            orders,
        }
    }

    pub(crate) async fn report(&self, entities: &[&str]) {
        let host = self.host(HostOperation::Report);
        let entities = entities.iter().map(|entity| (*entity).to_owned()).collect();
        #[expect(deprecated, reason = "sidecars still say it")]
        self.send(Host {
            name: self.name.clone(),
            entities,
            api_level: 20,
            ..host
        })
        .await;
    }

    /// Goes through one whole round and describes its table, a line per type.
    pub(crate) async fn round(&mut self, version: u64) -> Vec<String> {
        let mut table = Vec::new();
        for operation in [
            HostOperation::Lock,
            HostOperation::Update,
            HostOperation::Unlock,
        ] {
            let order = self
                .next()
                .await
                .expect("the stream goes on")
                .expect("an order");
            let word = operation.as_str_name().to_lowercase();
            assert_eq!(
                (order.operation.as_str(), order.version),
                (word.as_str(), version)
            );
            if order.tables.is_some() {
                table = describe(&order);
            }
            let acknowledgement = self.host(operation);
            self.send(Host {
                version: Some(version),
                ..acknowledgement
            })
            .await;
        }
        table
    }

    /// The status with which placement ends the stream.
    pub(crate) async fn ended(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_order)) => {}
                Ok(None) => panic!("the stream ended without a status"),
                Err(status) => return status,
            }
        }
    }

    async fn next(&mut self) -> Result<Option<PlacementOrder>, Status> {
        tokio::time::timeout(PATIENCE, self.orders.message())
            .await
            .expect("placement says something")
    }

    async fn send(&self, host: Host) {
        assert!(self.hosts.send(host).await.is_ok(), "the stream is open");
    }

    fn host(&self, operation: HostOperation) -> Host {
        Host {
            id: self.app_id.clone(),
            namespace: "default".to_owned(),
            operation: operation.into(),
            ..Host::default()
        }
    }
}

fn describe(order: &PlacementOrder) -> Vec<String> {
    let tables = order.tables.as_ref().expect("an update has them");
    let mut lines: Vec<String> = tables
        .entries
        .iter()
        .map(|(entity, table)| {
            let mut hosts: Vec<&str> = table.load_map.keys().map(String::as_str).collect();
            hosts.sort_unstable();
            format!("{entity}={}", hosts.join("+"))
        })
        .collect();
    lines.sort_unstable();
    lines
}

impl Client {
    /// Acknowledges every order until the stream ends; tells how many hosts type `A` has once that is
    /// unlocked.
    pub(crate) async fn follow(mut self, unlocked: tokio::sync::watch::Sender<usize>) -> Status {
        let mut hosts = 0;
        loop {
            let order = match self.orders.message().await {
                Ok(Some(order)) => order,
                Ok(None) => panic!("the stream ended without a status"),
                Err(status) => return status,
            };
            let operation = match order.operation.as_str() {
                "lock" => HostOperation::Lock,
                "update" => {
                    let tables = order.tables.expect("an update has them");
                    hosts = tables
                        .entries
                        .get("A")
                        .map_or(0, |table| table.load_map.len());
                    HostOperation::Update
                }
                "unlock" => {
                    unlocked.send_replace(hosts);
                    HostOperation::Unlock
                }
                other => panic!("{other} is for those who announced it"),
            };
            let acknowledgement = Host {
                version: Some(order.version),
                ..self.host(operation)
            };
            // What placement reads no more is seen where orders are read.
            drop(self.hosts.send(acknowledgement).await);
        }
    }
}
