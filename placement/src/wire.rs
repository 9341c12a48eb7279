//! Messages of sidecars, checked against who they come from, and orders as bytes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use tonic::Status;
use trilby_identity::SpiffeId;
use trilby_placement_protocol::{
    Phase, extension,
    server::{Ack, Dialect, Member, Order, TypeDelta},
};
use trilby_proto::placement::v1::{
    Host, HostOperation, PlacementOrder, PlacementTable, PlacementTables,
};

/// What a sidecar reported, as it stands in tables.
pub(crate) type Report = Host;

/// Whose messages arrive on a stream.
#[derive(Debug, Clone)]
pub(crate) enum Sender {
    /// Without TLS anybody.
    Anybody,
    /// Whoever the certificate names.
    Identified(SpiffeId),
}

/// A message that passed the checks.
#[derive(Debug)]
pub(crate) enum Message {
    Report(Member<Report>),
    Ack(Ack),
    /// Without an operation, from sidecars older than the three phases.
    Heartbeat(Member<Report>),
    /// Asks whether the sidecar still counts.
    Beat(u64),
    /// The sidecar serves nothing any more and goes.
    Goodbye,
}

/// What a sidecar announced when it opened its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub dialect: Dialect,
    /// It had a table from an earlier server.
    pub returning: bool,
}

/// App and namespace of a stream: those of its first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub namespace: String,
    pub app_id: String,
}

/// Bytes of the frame around a gRPC message.
pub(crate) const FRAME: usize = 5;

/// The first segments of actor types that belong to sidecars, followed by namespace and app.
const INTERNAL: [&str; 2] = ["dapr", "internal"];

// === impl Sender ===

impl Sender {
    /// Checks one message and says who it is from.
    ///
    /// # Errors
    /// The status with which the stream ends.
    pub(crate) fn check(&self, host: &Host, dialect: Dialect) -> Result<Origin, Status> {
        let no_operation = host.operation() == HostOperation::Unknown;
        if no_operation && host.version.is_some() && dialect == Dialect::Plain {
            let text = "both operation and version must be set or both must be unset";
            return Err(Status::invalid_argument(text));
        }
        if host.id.is_empty() || host.namespace.is_empty() {
            return Err(Status::invalid_argument(
                "host ID and namespace must be provided",
            ));
        }
        self.check_identity(host)?;
        for entity in &host.entities {
            check_entity(entity, host)?;
        }
        Ok(Origin {
            namespace: host.namespace.clone(),
            app_id: host.id.clone(),
        })
    }

    /// The trust domain is not compared: an app may have one of its own.
    fn check_identity(&self, host: &Host) -> Result<(), Status> {
        let Self::Identified(peer) = self else {
            return Ok(());
        };
        let (app, namespace) = (peer.app_id(), peer.namespace());
        if host.id != app {
            let id = &host.id;
            let text =
                format!("provided app ID {id} doesn't match the one in the SPIFFE ID ({app})");
            return Err(Status::permission_denied(text));
        }
        if host.namespace != namespace {
            let claimed = &host.namespace;
            return Err(Status::permission_denied(format!(
                "provided client namespace {claimed} doesn't match the one in the SPIFFE ID ({namespace})"
            )));
        }
        Ok(())
    }
}

fn check_entity(entity: &str, host: &Host) -> Result<(), Status> {
    let segments: Vec<&str> = entity.split('.').collect();
    if !segments.starts_with(&INTERNAL) {
        return Ok(());
    }
    // Either may hold dots itself, so the type is compared as text, too.
    let own = segments.len() >= 4 && segments[2] == host.namespace && segments[3] == host.id;
    let dotted = format!("dapr.internal.{}.{}.", host.namespace, host.id);
    if own || entity.starts_with(&dotted) {
        return Ok(());
    }
    let (id, namespace) = (&host.id, &host.namespace);
    Err(Status::permission_denied(format!(
        "entity {entity} is not allowed for app ID {id} in namespace {namespace}"
    )))
}

// === impl Origin ===

impl Origin {
    /// Refuses a message that claims to be from elsewhere than the first one.
    ///
    /// # Errors
    /// The status with which the stream ends.
    pub(crate) fn check_same(&self, other: &Self) -> Result<(), Status> {
        if self == other {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "host ID and namespace of a stream must not change: they were {} in {}, now {} in {}",
            self.app_id, self.namespace, other.app_id, other.namespace
        )))
    }
}

// === impl Message ===

impl Message {
    pub(crate) fn new(host: Host, dialect: Dialect) -> Self {
        let ack = |phase| {
            Self::Ack(Ack {
                phase,
                version: host.version,
            })
        };
        match host.operation() {
            HostOperation::Lock => ack(Phase::Lock),
            HostOperation::Update => ack(Phase::Update),
            HostOperation::Unlock => ack(Phase::Unlock),
            HostOperation::Report => Self::Report(member(host)),
            HostOperation::Unknown => match (dialect, host.version) {
                (Dialect::Extended, Some(beat)) => Self::Beat(beat),
                (Dialect::Extended, None) => Self::Goodbye,
                (Dialect::Plain, _) => Self::Heartbeat(member(host)),
            },
        }
    }
}

/// The sidecar as it describes itself, its types in order as upstream tells them on.
pub(crate) fn member(mut host: Host) -> Member<Report> {
    host.entities.sort_unstable();
    let entities: Vec<Arc<str>> = host
        .entities
        .iter()
        .map(|entity| entity.as_str().into())
        .collect();
    Member::new(&host.name.clone(), &host.id.clone(), entities, host)
}

// === impl Announced ===

impl Announced {
    /// Reads it from the metadata of a call. An announcement of rules other than ours counts as none.
    pub(crate) fn read(metadata: &HeaderMap) -> Self {
        let word = metadata.get(extension::DIALECT);
        let ours = word.is_some_and(|version| version == extension::VERSION);
        Self {
            dialect: match ours {
                true => Dialect::Extended,
                false => Dialect::Plain,
            },
            returning: metadata.contains_key(extension::RETURNING),
        }
    }
}

/// An order as it goes on the wire: encoded once, sent to many.
pub(crate) fn encode(order: &Order<Report>, replication: u32) -> Bytes {
    let (operation, version, tables) = match order {
        Order::Lock { version } => (Phase::Lock.as_str(), *version, None),
        Order::Unlock { version } => (Phase::Unlock.as_str(), *version, None),
        Order::Update { table, dialect } => {
            let entries = entries(&table.types, |hosts| match dialect {
                Dialect::Plain => load_map(hosts.values(), Host::clone),
                Dialect::Extended => load_map(hosts.values(), slim),
            });
            let tables = tables(entries, table.version, replication);
            (Phase::Update.as_str(), table.version, Some(tables))
        }
        Order::Delta { delta } => {
            let entries = entries(&delta.types, changed);
            let tables = tables(entries, delta.base, replication);
            (extension::DELTA, delta.version, Some(tables))
        }
        Order::Release { version, types } => {
            let empty = |entity: &Arc<str>| (entity.to_string(), PlacementTable::default());
            let entries = types.iter().map(empty).collect();
            let tables = tables(entries, *version, replication);
            (extension::RELEASE, *version, Some(tables))
        }
        Order::Alive { beat } => (extension::ALIVE, *beat, None),
    };
    let order = PlacementOrder {
        tables,
        operation: operation.to_owned(),
        version,
    };
    framed(&order)
}

/// A message with the frame that gRPC puts around it: not compressed, and how long it is.
fn framed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(FRAME + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a table is far below 4 GiB"));
    message.encode(&mut bytes).expect("there is room for it");
    bytes.freeze()
}

type Entries = HashMap<String, PlacementTable>;

fn entries<T>(types: &BTreeMap<Arc<str>, T>, entry: impl Fn(&T) -> PlacementTable) -> Entries {
    let entries = types.iter();
    entries
        .map(|(entity, it)| (entity.to_string(), entry(it)))
        .collect()
}

fn changed(change: &TypeDelta<Report>) -> PlacementTable {
    let removed = (0..).zip(&change.removed);
    let hosts = removed.map(|(index, name)| (index, name.to_string()));
    PlacementTable {
        hosts: hosts.collect(),
        ..load_map(change.upserted.iter(), slim)
    }
}

fn load_map<'a>(
    hosts: impl Iterator<Item = &'a Arc<Member<Report>>>,
    as_told: fn(&Report) -> Host,
) -> PlacementTable {
    let named = |host: &Arc<Member<Report>>| (host.name.to_string(), as_told(&host.payload));
    PlacementTable {
        load_map: hosts.map(named).collect(),
        ..PlacementTable::default()
    }
}

/// Of a host what makes it one: less than half of what it reports, in a table that has it once for each
/// of its types.
fn slim(host: &Report) -> Host {
    Host {
        name: host.name.clone(),
        id: host.id.clone(),
        port: host.port,
        ..Host::default()
    }
}

#[expect(deprecated, reason = "old sidecars read these fields")]
fn tables(entries: Entries, version: u64, replication: u32) -> PlacementTables {
    PlacementTables {
        entries,
        version: version.to_string(),
        replication_factor: i64::from(replication),
        ..PlacementTables::default()
    }
}

#[cfg(test)]
mod tests;
