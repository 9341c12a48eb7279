//! What a simulated host reads of an order: as little as tells it which hosts there are. All hosts are one process,
//! and reading five hundred whole tables of everything would be what is measured.

use bytes::Bytes;
use prost::Message as _;

/// `PlacementOrder`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    #[prost(message, optional, tag = "1")]
    tables: Option<Tables>,
    #[prost(string, tag = "2")]
    pub(crate) operation: String,
    #[prost(uint64, tag = "3")]
    pub(crate) version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tables {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

/// A type and its `PlacementTable`, not read yet.
#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    entity: String,
    #[prost(bytes = "bytes", tag = "2")]
    table: Bytes,
}

/// Hosts of one type: all, or, in a change, those who came and those who left.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hosts {
    #[prost(message, repeated, tag = "1")]
    left: Vec<Left>,
    #[prost(message, repeated, tag = "3")]
    came: Vec<Came>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Left {
    #[prost(bytes = "bytes", tag = "2")]
    name: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Came {
    #[prost(bytes = "bytes", tag = "1")]
    name: Bytes,
}

impl Order {
    /// Hosts of a type, as far as the order has any.
    pub(crate) fn hosts(&self, entity: &str) -> Hosts {
        let tables = self.tables.as_ref();
        let mut entries = tables.into_iter().flat_map(|tables| &tables.entries);
        let entry = entries.find(|entry| entry.entity == entity);
        let table = entry.map(|entry| entry.table.clone()).unwrap_or_default();
        Hosts::decode(table).unwrap()
    }
}

impl Hosts {
    pub(crate) fn left(&self) -> impl Iterator<Item = &Bytes> {
        self.left.iter().map(|host| &host.name)
    }

    pub(crate) fn came(self) -> impl Iterator<Item = Bytes> {
        self.came.into_iter().map(|host| host.name)
    }
}
