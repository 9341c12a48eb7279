//! One sidecar as placement sees it.

use std::sync::Arc;

/// What one sidecar says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<P> {
    /// The address at which other sidecars reach it, `ip:port`.
    pub name: Arc<str>,
    /// The app that it belongs to.
    pub app_id: Arc<str>,
    /// The actor types that it hosts, ascending and distinct.
    entities: Vec<Arc<str>>,
    /// What travels into the table along with it.
    pub payload: P,
}

/// What a sidecar understands beyond upstream's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Nothing: it gets whole tables, and is there as long as its stream is.
    Plain,
    /// It takes [`Delta`](super::Delta)s and releases, and serves actors only while its beats are
    /// answered.
    Extended,
}

// === impl Member ===

impl<P> Member<P> {
    /// A sidecar of `app_id` at `name` that hosts `entities`.
    pub fn new<E: Into<Arc<str>>>(
        name: &str,
        app_id: &str,
        entities: impl IntoIterator<Item = E>,
        payload: P,
    ) -> Self {
        let mut entities: Vec<Arc<str>> = entities.into_iter().map(Into::into).collect();
        entities.sort_unstable();
        entities.dedup();
        Self {
            name: name.into(),
            app_id: app_id.into(),
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

    /// Whether both are one host of one app: of two such streams the newest counts.
    pub(super) fn same_host(&self, other: &Self) -> bool {
        self.name == other.name && self.app_id == other.app_id
    }
}
