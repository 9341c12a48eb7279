//! One sidecar as placement sees it, and the table of all.

use std::{collections::BTreeMap, sync::Arc};

/// What one sidecar says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<P> {
    /// The address at which other sidecars reach it, `ip:port`.
    pub name: Arc<str>,
    /// The actor types that it hosts, ascending and distinct.
    entities: Vec<Arc<str>>,
    /// What travels into the table along with it.
    pub payload: P,
}

/// Who hosts actors, at one version.
#[derive(Debug, Clone)]
pub struct Table<P> {
    /// The round that it belongs to.
    pub version: u64,
    /// The hosts by name, each with at least one actor type.
    pub hosts: BTreeMap<Arc<str>, Arc<Member<P>>>,
}

// === impl Member ===

impl<P> Member<P> {
    /// A sidecar at `name` that hosts `entities`.
    pub fn new<E: Into<Arc<str>>>(
        name: &str,
        entities: impl IntoIterator<Item = E>,
        payload: P,
    ) -> Self {
        let mut entities: Vec<Arc<str>> = entities.into_iter().map(Into::into).collect();
        entities.sort_unstable();
        entities.dedup();
        Self {
            name: name.into(),
            entities,
            payload,
        }
    }

    /// The actor types that it hosts, ascending and distinct.
    pub fn entities(&self) -> &[Arc<str>] {
        &self.entities
    }

    /// Whether it hosts any actor type.
    pub fn is_actor_host(&self) -> bool {
        !self.entities.is_empty()
    }

    /// Whether both host the same actor types, which is all that makes a table differ.
    pub(super) fn same_entities(&self, other: &Self) -> bool {
        self.entities == other.entities
    }
}

// === impl Table ===

impl<P> Table<P> {
    /// Makes the table of `members`, given from the oldest stream to the newest. Of two streams with
    /// one name the newest counts: the other is what a fast restart has left behind.
    pub(super) fn new<'a>(version: u64, members: impl Iterator<Item = &'a Arc<Member<P>>>) -> Self
    where
        P: 'a,
    {
        let hosts = members
            .filter(|member| member.is_actor_host())
            .map(|member| (Arc::clone(&member.name), Arc::clone(member)))
            .collect();
        Self { version, hosts }
    }

    /// The hosts of each actor type.
    pub fn by_entity(&self) -> BTreeMap<&Arc<str>, Vec<&Arc<Member<P>>>> {
        let mut entries: BTreeMap<&Arc<str>, Vec<&Arc<Member<P>>>> = BTreeMap::new();
        for member in self.hosts.values() {
            for entity in &member.entities {
                entries.entry(entity).or_default().push(member);
            }
        }
        entries
    }
}
