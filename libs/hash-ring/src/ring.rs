//! The ring: hosts spread over the circle of `u64`, and the owner of a key.

use std::sync::Arc;

use crate::point;

/// The hosts of one actor type, each at `replication` points of the circle.
///
/// Equal inputs give equal rings, whatever the order of the hosts and the ring that one was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    hosts: Vec<Arc<str>>,
    /// Ascending and distinct; `owners` runs parallel to it, as indexes into `hosts`.
    points: Vec<u64>,
    owners: Vec<u32>,
    /// Where in `points` each of `2^n` equal parts of the circle begins. Points are spread evenly, so a
    /// part has a few of them, and a lookup touches one line of memory instead of one for each
    /// halving.
    parts: Vec<u32>,
    replication: u32,
}

/// One point of the circle with the index of its owner.
type Point = (u64, u32);

// === impl Ring ===

impl Ring {
    /// Spreads `hosts` over the circle with `replication` points each. A host named twice counts once.
    ///
    /// The layout lets two hosts share a point (`h:500` number 21 and `h:5002` number 1). Such a
    /// point belongs to the smaller host name, so that all who build the ring agree.
    pub fn new<H: Into<Arc<str>>>(hosts: impl IntoIterator<Item = H>, replication: u32) -> Self {
        let hosts = ascending(hosts);
        let points = (0..)
            .zip(&hosts)
            .flat_map(|(owner, host)| spread(host, owner, replication))
            .collect();
        Self::assemble(hosts, points, replication)
    }

    /// The ring of other `hosts` with as many points each; those of hosts that stay are not computed
    /// again.
    pub fn with_hosts<H: Into<Arc<str>>>(&self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = ascending(hosts);
        let owners = self.owners_among(&hosts);
        let mut points = Vec::with_capacity(self.points.len());
        for (point, owner) in self.points.iter().zip(&self.owners) {
            if let Some(owner) = owners[index(*owner)] {
                points.push((*point, owner));
            }
        }
        let mut stays = vec![false; hosts.len()];
        for owner in owners.into_iter().flatten() {
            stays[index(owner)] = true;
        }
        for (owner, host) in (0..).zip(&hosts) {
            if !stays[index(owner)] {
                points.extend(spread(host, owner, self.replication));
            }
        }
        Self::assemble(hosts, points, self.replication)
    }

    /// The host that owns `key` (an actor's id alone: its type is not hashed); `None` when the ring
    /// has no point at all.
    pub fn owner(&self, key: &str) -> Option<&str> {
        Some(&self.hosts[self.owner_index(key)?])
    }

    /// Where in [`hosts`](Self::hosts) the owner of `key` is.
    pub fn owner_index(&self, key: &str) -> Option<usize> {
        let key = point::hash(key.as_bytes());
        let part = part_of(key, self.parts.len() - 1);
        let (from, to) = (index(self.parts[part]), index(self.parts[part + 1]));
        let next = from + self.points[from..to].partition_point(|point| *point < key);
        let owner = self.owners.get(next).or_else(|| self.owners.first())?;
        Some(index(*owner))
    }

    /// The hosts, ascending.
    pub fn hosts(&self) -> &[Arc<str>] {
        &self.hosts
    }

    /// Points per host.
    pub fn replication(&self) -> u32 {
        self.replication
    }

    /// For each host its index in `hosts`, if all its points are known here. Those of a host that
    /// shares a point with another may not be.
    fn owners_among(&self, hosts: &[Arc<str>]) -> Vec<Option<u32>> {
        let mut counts = vec![0; self.hosts.len()];
        for owner in &self.owners {
            counts[index(*owner)] += 1;
        }
        let mut new = (0..).zip(hosts).peekable();
        let places = self.hosts.iter().zip(counts).map(|(host, count)| {
            while new.next_if(|(_, it)| *it < host).is_some() {}
            let place = new.next_if(|(_, it)| *it == host).map(|(place, _)| place);
            place.filter(|_| count == self.replication)
        });
        places.collect()
    }

    fn assemble(hosts: Vec<Arc<str>>, mut pairs: Vec<Point>, replication: u32) -> Self {
        // Not the unstable sort: points that come from another ring are in order, and this one sees it.
        pairs.sort();
        pairs.dedup_by_key(|(point, _)| *point);
        let (points, owners): (Vec<u64>, Vec<u32>) = pairs.into_iter().unzip();
        Self {
            parts: parts(&points),
            hosts,
            points,
            owners,
            replication,
        }
    }
}

fn ascending<H: Into<Arc<str>>>(hosts: impl IntoIterator<Item = H>) -> Vec<Arc<str>> {
    let mut hosts: Vec<Arc<str>> = hosts.into_iter().map(Into::into).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn spread(host: &str, owner: u32, replication: u32) -> impl Iterator<Item = Point> {
    (0..replication).map(move |number| (point::virtual_node(host, number), owner))
}

/// Divides the circle into about a quarter as many parts as it has points. The last entry is the end.
fn parts(points: &[u64]) -> Vec<u32> {
    let count = (points.len() / 4).next_power_of_two();
    let mut next = 0;
    let mut parts: Vec<u32> = Vec::with_capacity(count + 1);
    for part in 0..count {
        while points
            .get(next)
            .is_some_and(|it| part_of(*it, count) < part)
        {
            next += 1;
        }
        parts.push(u32::try_from(next).expect("a ring has fewer than 2^32 points"));
    }
    parts.push(u32::try_from(points.len()).expect("a ring has fewer than 2^32 points"));
    parts
}

/// Which of `count` parts, a power of two, a point is in.
fn part_of(point: u64, count: usize) -> usize {
    match count.ilog2() {
        0 => 0,
        bits => usize::try_from(point >> (u64::BITS - bits)).expect("below `count`"),
    }
}

fn index(owner: u32) -> usize {
    usize::try_from(owner).expect("an index into a vector")
}

#[cfg(test)]
mod tests;
