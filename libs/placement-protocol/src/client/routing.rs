//! Who owns which actor, as this sidecar knows it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use trilby_hash_ring::Ring;

use super::{Delta, HostEntry, Tables, TypeDelta};

/// Where the host of an actor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRef {
    /// `ip:port` of its internal API.
    pub address: Arc<str>,
    /// Its app.
    pub app_id: Arc<str>,
    /// Reported separately from the address by some; part of what makes hosts differ.
    pub port: i64,
}

/// An immutable view of all owners. The one before the first table is [`Routing::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The round that it stems from; `None` while there is no table.
    version: Option<u64>,
    types: BTreeMap<Arc<str>, Arc<TypeRoute>>,
    /// Moved by a round that is not over.
    moving: BTreeSet<Arc<str>>,
}

/// The hosts of one actor type.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeRoute {
    ring: Arc<Ring>,
    /// Parallel to the hosts of the ring, which are ascending.
    hosts: Vec<HostRef>,
    /// The round that brought it: differs between routes of one type that differ.
    pub since: u64,
}

/// Why a lookup has to wait for the next [`Routing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// There is no table yet.
    NoTable,
    /// A round that moves actors of this type is not over.
    Moving,
}

// === impl Routing ===

impl Routing {
    /// The hosts of a type; `None` if no one hosts it.
    ///
    /// # Errors
    /// The answer has to wait for the next routing.
    pub fn hosts_of(&self, actor_type: &str) -> Result<Option<&Arc<TypeRoute>>, Held> {
        if self.version.is_none() {
            Err(Held::NoTable)
        } else if self.moving.contains(actor_type) {
            Err(Held::Moving)
        } else {
            Ok(self.types.get(actor_type))
        }
    }

    /// The host of an actor, whether or not its type is held back at the moment.
    pub fn owner(&self, actor_type: &str, actor_id: &str) -> Option<&HostRef> {
        self.types.get(actor_type)?.owner(actor_id)
    }

    /// The round that this stems from; `None` while there is no table.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// The types that anyone hosts, ascending.
    pub fn types(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<TypeRoute>)> {
        self.types.iter()
    }

    /// The types that are held back, ascending.
    pub fn moving(&self) -> impl Iterator<Item = &Arc<str>> {
        self.moving.iter()
    }

    /// The view that `tables` make of this one, and the types whose hosts differ between both.
    pub(super) fn with(&self, version: u64, tables: &Tables) -> (Self, BTreeSet<Arc<str>>) {
        let mut rings = RingsByHosts::new(self, tables.replication);
        let mut next = Self {
            version: Some(version),
            types: BTreeMap::new(),
            moving: self.moving.clone(),
        };
        let mut moved: BTreeSet<Arc<str>> = self.types.keys().cloned().collect();
        for (actor_type, entries) in &tables.entries {
            let route = rings.route(version, entries);
            match self.types.get(actor_type) {
                Some(known) if known.same_hosts(&route) => {
                    moved.remove(actor_type);
                    next.types.insert(Arc::clone(actor_type), Arc::clone(known));
                }
                _ => {
                    moved.insert(Arc::clone(actor_type));
                    next.types.insert(Arc::clone(actor_type), Arc::new(route));
                }
            }
        }
        next.moving.extend(moved.iter().cloned());
        (next, moved)
    }

    /// The view that `delta` makes of this one, and the types whose hosts differ between both.
    pub(super) fn patched(&self, version: u64, delta: &Delta) -> (Self, BTreeSet<Arc<str>>) {
        let mut rings = RingsByHosts::new(self, delta.replication);
        let mut next = Self {
            version: Some(version),
            ..self.clone()
        };
        let mut moved = BTreeSet::new();
        for (actor_type, change) in &delta.types {
            let known = self.types.get(actor_type);
            let route = rings.patched(version, known, change);
            if known.is_some_and(|known| known.same_hosts(&route)) {
                continue;
            }
            if route.hosts.is_empty() {
                next.types.remove(actor_type);
            } else {
                next.types.insert(Arc::clone(actor_type), Arc::new(route));
            }
            moved.insert(Arc::clone(actor_type));
        }
        next.moving.extend(moved.iter().cloned());
        (next, moved)
    }

    /// The same owners with these types no longer held back.
    pub(super) fn without_holding(&self, types: &[Arc<str>]) -> Self {
        let mut next = self.clone();
        next.moving.retain(|held| !types.contains(held));
        next
    }

    /// The same owners with nothing held back.
    pub(super) fn released(&self) -> Self {
        Self {
            moving: BTreeSet::new(),
            ..self.clone()
        }
    }
}

// === impl TypeRoute ===

impl TypeRoute {
    /// The host of an actor; `None` if the table names no host, or none with a point on the ring.
    pub fn owner(&self, actor_id: &str) -> Option<&HostRef> {
        self.hosts.get(self.ring.owner_index(actor_id)?)
    }

    /// All hosts, in the order of their keys.
    pub fn hosts(&self) -> &[HostRef] {
        &self.hosts
    }

    fn same_hosts(&self, other: &Self) -> bool {
        self.hosts == other.hosts && self.ring == other.ring
    }
}

/// Rings by their hosts: types with the same hosts share one, and a ring of the last table is not
/// computed again, nor are those points of one that it shares with another.
struct RingsByHosts {
    replication: u32,
    rings: HashMap<Vec<Arc<str>>, Arc<Ring>>,
}

// === impl RingsByHosts ===

impl RingsByHosts {
    fn new(last: &Routing, replication: u32) -> Self {
        let rings = last
            .types
            .values()
            .filter(|route| route.ring.replication() == replication)
            .map(|route| (route.ring.hosts().to_vec(), Arc::clone(&route.ring)))
            .collect();
        Self { replication, rings }
    }

    fn route(&mut self, version: u64, entries: &[HostEntry]) -> TypeRoute {
        let by_key: BTreeMap<&Arc<str>, &HostRef> = entries
            .iter()
            .map(|entry| (&entry.key, &entry.host))
            .collect();
        self.assemble(version, by_key, None)
    }

    fn patched(
        &mut self,
        version: u64,
        known: Option<&Arc<TypeRoute>>,
        change: &TypeDelta,
    ) -> TypeRoute {
        let mut by_key: BTreeMap<&Arc<str>, &HostRef> = known
            .into_iter()
            .flat_map(|route| route.ring.hosts().iter().zip(&route.hosts))
            .collect();
        for key in &change.removed {
            by_key.remove(key);
        }
        by_key.extend(
            change
                .upserted
                .iter()
                .map(|entry| (&entry.key, &entry.host)),
        );
        self.assemble(version, by_key, known)
    }

    fn assemble(
        &mut self,
        version: u64,
        by_key: BTreeMap<&Arc<str>, &HostRef>,
        like: Option<&Arc<TypeRoute>>,
    ) -> TypeRoute {
        let keys: Vec<Arc<str>> = by_key.keys().map(|key| Arc::clone(key)).collect();
        let hosts = by_key.into_values().cloned().collect();
        let replication = self.replication;
        let like = like.filter(|route| route.ring.replication() == replication);
        let ring = self.rings.entry(keys).or_insert_with_key(|keys| {
            Arc::new(match like {
                Some(route) => route.ring.with_hosts(keys.iter().cloned()),
                None => Ring::new(keys.iter().cloned(), replication),
            })
        });
        TypeRoute {
            ring: Arc::clone(ring),
            hosts,
            since: version,
        }
    }
}

#[cfg(test)]
mod tests;
