//! One connection, to however the servers are arranged.

use ::redis::{
    Cmd, FromRedisValue, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_routing::Slot,
};

use crate::cluster::ClusterLink;

/// A connection that commands share. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server.
    Node(MultiplexedConnection),
    /// To the servers of a cluster.
    Cluster(ClusterLink),
}

/// A server that takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The only one.
    Only,
    /// The one of a cluster that keeps the keys of this slot.
    Keeping(Slot),
}

impl Connection {
    /// Runs a command that names no key.
    pub(crate) async fn run_at<T: FromRedisValue>(
        &mut self,
        place: Place,
        command: &Cmd,
    ) -> RedisResult<T> {
        match (self, place) {
            (Self::Cluster(link), Place::Keeping(slot)) => link.run_at(slot, command).await,
            (connection, _) => command.query_async(connection).await,
        }
    }

    /// The server that keeps `key`.
    pub(crate) fn place(&self, key: &str) -> Place {
        match self {
            Self::Node(_) => Place::Only,
            Self::Cluster(_) => Place::Keeping(Slot::for_key(key)),
        }
    }

    /// Every server that takes writes.
    pub(crate) async fn places(&mut self) -> RedisResult<Vec<Place>> {
        match self {
            Self::Node(_) => Ok(vec![Place::Only]),
            Self::Cluster(link) => {
                let slots = link.slot_of_each_primary().await?;
                Ok(slots.into_iter().map(Place::Keeping).collect())
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(connection) => connection.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(connection) => connection.req_packed_commands(cmd, offset, count),
            Self::Cluster(link) => link.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(connection) => connection.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}
