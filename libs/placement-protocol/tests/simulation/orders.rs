//! What the server orders, as sidecars take it.

use std::sync::Arc;

use trilby_placement_protocol::{
    client::{self, HostEntry, HostRef},
    server::{Hosts, Order},
};

const REPLICATION: u32 = 3;

pub(crate) fn version_of(order: &Order<()>) -> Option<u64> {
    match order {
        Order::Lock { version } | Order::Unlock { version } => Some(*version),
        Order::Update { table, .. } => Some(table.version),
        Order::Delta { delta } => Some(delta.version),
        Order::Release { version, .. } => Some(*version),
        Order::Alive { .. } => None,
    }
}

pub(crate) fn event_of(order: &Order<()>) -> client::Event {
    match order {
        Order::Lock { version } => client::Event::Lock { version: *version },
        Order::Unlock { version } => client::Event::Unlock { version: *version },
        Order::Release { version, types } => client::Event::Release {
            version: *version,
            types: types.clone(),
        },
        Order::Alive { beat } => client::Event::Alive { beat: *beat },
        Order::Update { table, .. } => {
            let types = table.types.iter();
            let entries = types.map(|(entity, hosts)| (Arc::clone(entity), entries(hosts)));
            client::Event::Update {
                version: table.version,
                tables: client::Tables {
                    replication: REPLICATION,
                    entries: entries.collect(),
                },
            }
        }
        Order::Delta { delta } => {
            let types = delta.types.iter().map(|(entity, change)| {
                let upserted = change.upserted.iter().map(|host| entry(&host.name));
                let change = client::TypeDelta {
                    removed: change.removed.clone(),
                    upserted: upserted.collect(),
                };
                (Arc::clone(entity), change)
            });
            client::Event::Delta {
                version: delta.version,
                delta: client::Delta {
                    base: delta.base,
                    replication: REPLICATION,
                    types: types.collect(),
                },
            }
        }
    }
}

fn entries(hosts: &Hosts<()>) -> Vec<HostEntry> {
    hosts.keys().map(entry).collect()
}

fn entry(name: &Arc<str>) -> HostEntry {
    HostEntry {
        key: Arc::clone(name),
        host: HostRef {
            address: Arc::clone(name),
            app_id: "app".into(),
            port: 0,
        },
    }
}
