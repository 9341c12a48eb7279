//! Who hosts what at one version, and what makes two of them differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Member;

/// The hosts of one actor type by name.
pub type Hosts<P> = BTreeMap<Arc<str>, Arc<Member<P>>>;

/// Who hosts actors, at one version.
#[derive(Debug)]
pub struct Table<P> {
    /// The round that it belongs to.
    pub version: u64,
    /// Actor type → its hosts, at least one.
    pub types: BTreeMap<Arc<str>, Hosts<P>>,
}

/// What a table changes in the one before it.
#[derive(Debug)]
pub struct Delta<P> {
    /// The table that it applies to.
    pub base: u64,
    /// The table that comes of it.
    pub version: u64,
    /// Only types that differ.
    pub types: BTreeMap<Arc<str>, TypeDelta<P>>,
}

/// What changes in the hosts of one type.
#[derive(Debug)]
pub struct TypeDelta<P> {
    /// Names of hosts that host it no longer, ascending.
    pub removed: Vec<Arc<str>>,
    /// Hosts that are new, or say something else about themselves, ascending by name.
    pub upserted: Vec<Arc<Member<P>>>,
}

// === impl Table ===

impl<P> Table<P> {
    /// The table before the first round.
    pub(super) fn empty() -> Self {
        Self {
            version: 0,
            types: BTreeMap::new(),
        }
    }

    /// Makes the table of `members`, given from the oldest stream to the newest. Of two streams with
    /// one name the newest counts: the other is what a fast restart has left behind.
    pub(super) fn new<'a>(version: u64, members: impl Iterator<Item = &'a Arc<Member<P>>>) -> Self
    where
        P: 'a,
    {
        let hosts: BTreeMap<&Arc<str>, &Arc<Member<P>>> = members
            .filter(|member| member.is_actor_host())
            .map(|member| (&member.name, member))
            .collect();
        let mut types: BTreeMap<Arc<str>, Hosts<P>> = BTreeMap::new();
        for (name, member) in hosts {
            for entity in member.entities() {
                let hosts = types.entry(Arc::clone(entity)).or_default();
                hosts.insert(Arc::clone(name), Arc::clone(member));
            }
        }
        Self { version, types }
    }

    /// The same hosts under another version.
    pub(super) fn at(&self, version: u64) -> Self {
        Self {
            version,
            types: self.types.clone(),
        }
    }

    /// The types of which `name` is a host, with all their hosts.
    pub(super) fn types_of(&self, name: &str) -> impl Iterator<Item = (&Arc<str>, &Hosts<P>)> {
        self.types
            .iter()
            .filter(move |(_, hosts)| hosts.contains_key(name))
    }

    pub(super) fn has_host(&self, name: &str) -> bool {
        self.types_of(name).next().is_some()
    }
}

// === impl Delta ===

impl<P> Delta<P> {
    /// What leads from `base` to `next`.
    pub(super) fn between(base: &Table<P>, next: &Table<P>) -> Self {
        let names: BTreeSet<&Arc<str>> = base.types.keys().chain(next.types.keys()).collect();
        let none = Hosts::new();
        let types = names.into_iter().filter_map(|entity| {
            let old = base.types.get(entity).unwrap_or(&none);
            let new = next.types.get(entity).unwrap_or(&none);
            Some((Arc::clone(entity), TypeDelta::between(old, new)?))
        });
        Self {
            base: base.version,
            version: next.version,
            types: types.collect(),
        }
    }
}

// === impl TypeDelta ===

impl<P> TypeDelta<P> {
    fn between(old: &Hosts<P>, new: &Hosts<P>) -> Option<Self> {
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        let known = |(name, member): &(&Arc<str>, &Arc<Member<P>>)| {
            old.get(*name)
                .is_some_and(|known| Arc::ptr_eq(known, member))
        };
        let change = Self {
            removed: gone.cloned().collect(),
            upserted: new
                .iter()
                .filter(|entry| !known(entry))
                .map(|(_, member)| Arc::clone(member))
                .collect(),
        };
        (!change.removed.is_empty() || !change.upserted.is_empty()).then_some(change)
    }
}
