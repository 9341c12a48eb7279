//! One operation, directly or through a sidecar.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use tokio::runtime::Handle;
use trilby_components::RequestMetadata;
use trilby_components::state::{self, GetRequest, SetRequest, StateStore, Value};
use trilby_grpc::{Channel, ChannelConfig};
use trilby_proto::common::v1::StateItem;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    ExecuteStateTransactionRequest, GetBulkStateRequest, GetStateRequest, SaveStateRequest,
    TransactionalStateOperation,
};
use trilby_testkit::load::Work;

use crate::scene::Store;

/// How many keys there are.
const KEYS: usize = 1_000;
/// How many of them a bulk read takes.
const BULK: usize = 10;
const VALUE: Bytes = Bytes::from_static(&[7; 1024]);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Get,
    Set,
    BulkGet,
    Transaction,
}

/// What operations go to.
#[derive(Clone)]
pub(crate) enum Target {
    Direct(Arc<dyn StateStore>),
    Sidecar(SocketAddr, Store),
}

/// Operations in turn, over and over, on a target.
#[derive(Clone)]
pub(crate) struct Repeated(pub(crate) &'static [Operation], pub(crate) Target);

/// A way to it.
pub(crate) enum Client {
    Direct(Arc<dyn StateStore>),
    Sidecar(DaprClient<Channel>, Store),
}

impl Target {
    pub(crate) async fn connect(&self) -> Client {
        match self {
            Self::Direct(store) => Client::Direct(Arc::clone(store)),
            Self::Sidecar(address, store) => {
                let target = trilby_grpc::Target {
                    host: address.ip().to_string(),
                    port: address.port(),
                };
                let channel = trilby_grpc::channel(target, None, ChannelConfig::default());
                let mut dapr = DaprClient::new(channel.expect("it is an address"));
                // The connection is there before the first operation is due.
                let read = GetStateRequest {
                    store_name: store.name().to_owned(),
                    key: "none".to_owned(),
                    ..Default::default()
                };
                dapr.get_state(read).await.expect("the sidecar serves");
                Client::Sidecar(dapr, *store)
            }
        }
    }
}

impl Work for Repeated {
    type Connection = Client;

    fn runtime(&self) -> Option<Handle> {
        matches!(self.1, Target::Direct(_)).then(Handle::current)
    }

    async fn connect(&self) -> Result<Client> {
        Ok(self.1.connect().await)
    }

    async fn perform(&self, client: &mut Client, index: usize) -> Result<()> {
        let operation = self.0[index % self.0.len()];
        operation.perform(client, index).await
    }
}

fn key(index: usize) -> String {
    format!("key-{}", index % KEYS)
}

fn keys(index: usize) -> impl Iterator<Item = String> {
    (index..index + BULK).map(key)
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [Self::Get, Self::Set, Self::BulkGet, Self::Transaction];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::BulkGet => "bulk get of 10",
            Self::Transaction => "transaction of 2",
        }
    }

    /// Writes what is read, once: all paths to a store have its keys in common.
    pub(crate) async fn prepare(self, target: &Target) {
        let mut client = target.connect().await;
        for index in 0..KEYS {
            let written = Self::Set.perform(&mut client, index).await;
            written.expect("it writes");
        }
    }

    async fn perform(self, client: &mut Client, index: usize) -> Result<()> {
        match client {
            Client::Direct(store) => self.directly(&**store, index).await,
            Client::Sidecar(dapr, store) => self.through(dapr, store.name(), index).await,
        }
    }

    async fn directly(self, store: &dyn StateStore, index: usize) -> Result<()> {
        let set = |key| SetRequest::new(key, Value::Binary(VALUE));
        match self {
            Self::Get => drop(store.get(GetRequest::new(key(index))).await?),
            Self::Set => store.set(set(key(index))).await?,
            Self::BulkGet => {
                let requests = keys(index).map(GetRequest::new).collect();
                for answer in store.bulk_get(requests, BULK).await {
                    answer.result?;
                }
            }
            Self::Transaction => {
                let transactional = store.transactional().expect("it has transactions");
                let keys = [key(index), key(index + 1)];
                let operations = keys.map(|key| state::Operation::Upsert(set(key)));
                transactional
                    .transact(operations.into(), &RequestMetadata::new())
                    .await?;
            }
        }
        Ok(())
    }

    async fn through(
        self,
        dapr: &mut DaprClient<Channel>,
        store: &str,
        index: usize,
    ) -> Result<()> {
        let store_name = store.to_owned();
        let item = |key| StateItem {
            key,
            value: VALUE,
            ..Default::default()
        };
        match self {
            Self::Get => {
                let request = GetStateRequest {
                    store_name,
                    key: key(index),
                    ..Default::default()
                };
                dapr.get_state(request).await?;
            }
            Self::Set => {
                let states = vec![item(key(index))];
                let request = SaveStateRequest { store_name, states };
                dapr.save_state(request).await?;
            }
            Self::BulkGet => {
                let request = GetBulkStateRequest {
                    store_name,
                    keys: keys(index).collect(),
                    parallelism: BULK as i32,
                    ..Default::default()
                };
                dapr.get_bulk_state(request).await?;
            }
            Self::Transaction => {
                let upsert = |key| TransactionalStateOperation {
                    operation_type: "upsert".to_owned(),
                    request: Some(item(key)),
                };
                let request = ExecuteStateTransactionRequest {
                    store_name,
                    operations: [key(index), key(index + 1)].map(upsert).into(),
                    ..Default::default()
                };
                dapr.execute_state_transaction(request).await?;
            }
        }
        Ok(())
    }
}
