//! The ring: hosts spread over the circle of `u64`, and the owner of a key.

use std::sync::Arc;

use crate::point;

/// The hosts of one actor type, each at `replication` points of the circle.
///
/// Equal inputs give equal rings, whatever the order of the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    hosts: Vec<Arc<str>>,
    /// Ascending and distinct; `owners` runs parallel to it, as indexes into `hosts`.
    points: Vec<u64>,
    owners: Vec<u32>,
    replication: u32,
}

// === impl Ring ===

impl Ring {
    /// Spreads `hosts` over the circle with `replication` points each. A host named twice counts once.
    ///
    /// The layout lets two hosts share a point (`h:500` number 21 and `h:5002` number 1). Such a
    /// point belongs to the smaller host name, so that all who build the ring agree.
    pub fn new<H: Into<Arc<str>>>(hosts: impl IntoIterator<Item = H>, replication: u32) -> Self {
        let mut hosts: Vec<Arc<str>> = hosts.into_iter().map(Into::into).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let mut pairs: Vec<(u64, u32)> = (0..)
            .zip(&hosts)
            .flat_map(|(owner, host)| {
                (0..replication).map(move |index| (point::virtual_node(host, index), owner))
            })
            .collect();
        pairs.sort_unstable();
        pairs.dedup_by_key(|(point, _)| *point);
        let (points, owners) = pairs.into_iter().unzip();
        Self {
            hosts,
            points,
            owners,
            replication,
        }
    }

    /// The host that owns `key` (an actor's id alone: its type is not hashed); `None` when the ring
    /// has no point at all.
    pub fn owner(&self, key: &str) -> Option<&str> {
        let key = point::hash(key.as_bytes());
        let next = self.points.partition_point(|point| *point < key);
        let owner = self.owners.get(next).or_else(|| self.owners.first())?;
        let index = usize::try_from(*owner).expect("an index into a vector");
        Some(&self.hosts[index])
    }

    /// The hosts, ascending.
    pub fn hosts(&self) -> &[Arc<str>] {
        &self.hosts
    }

    /// Points per host.
    pub fn replication(&self) -> u32 {
        self.replication
    }
}

#[cfg(test)]
mod tests;
