//! The secrets that resources refer to, as far as they do.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use tracing::{info, warn};

use super::Id;
use crate::resource::{SecretData, SecretValue};

/// Names one Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SecretId {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// The outcome of reading a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    Found(SecretData),
    /// There is no such Secret.
    Missing,
    /// It could not be read; the text says why.
    Failed(String),
}

#[derive(Default)]
pub(super) struct SecretCache {
    slots: HashMap<SecretId, Slot>,
    /// What each resource refers to.
    references: HashMap<Id, HashSet<SecretId>>,
}

struct Slot {
    users: HashSet<Id>,
    state: State,
    /// The last value that was read, kept through failures.
    value: Option<SecretData>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Asked for; users wait.
    Loading,
    Resolved,
    /// Could not be read, for this reason.
    Unresolved(String),
}

impl SecretCache {
    /// Sets what `user` refers to. All of it is to be read now; what nobody refers to any more is forgotten.
    pub(super) fn refer(&mut self, user: &Id, secrets: HashSet<SecretId>) -> Vec<SecretId> {
        let before = self.references.remove(user).unwrap_or_default();
        for dropped in before.difference(&secrets) {
            self.release(dropped, user);
        }
        for secret in &secrets {
            let slot = self.slots.entry(secret.clone()).or_insert_with(Slot::new);
            slot.users.insert(user.clone());
            slot.state = State::Loading;
        }
        let to_read = secrets.iter().cloned().collect();
        if !secrets.is_empty() {
            self.references.insert(user.clone(), secrets);
        }
        to_read
    }

    /// Records an outcome; returns whom it may concern.
    pub(super) fn settle(&mut self, secret: &SecretId, outcome: Fetched) -> Vec<Id> {
        let Some(slot) = self.slots.get_mut(secret) else {
            return Vec::new();
        };
        let was_unresolved = matches!(slot.state, State::Unresolved(_));
        let state = match outcome {
            Fetched::Found(data) => {
                slot.value = Some(data);
                State::Resolved
            }
            Fetched::Missing => State::Unresolved(format!("Secret \"{}\" not found", secret.name)),
            Fetched::Failed(reason) => State::Unresolved(reason),
        };
        if slot.state != state {
            match &state {
                State::Unresolved(reason) => {
                    warn!(%secret, reason, users = users(slot), "secret cannot be read; the last known value stays, if any");
                }
                _ if was_unresolved => info!(%secret, users = users(slot), "secret can be read"),
                _ => {}
            }
        }
        slot.state = state;
        slot.users.iter().cloned().collect()
    }

    pub(super) fn value(&self, secret: &SecretId, key: &str) -> SecretValue<'_> {
        match self.slots.get(secret).and_then(|slot| slot.value.as_ref()) {
            Some(data) => data.get(key).map_or(SecretValue::NoKey, SecretValue::Found),
            None => SecretValue::NoSecret,
        }
    }

    pub(super) fn users(&self, secret: &SecretId) -> impl Iterator<Item = &Id> {
        self.slots
            .get(secret)
            .into_iter()
            .flat_map(|slot| &slot.users)
    }

    pub(super) fn is_loading_one(&self, secret: &SecretId) -> bool {
        self.slots
            .get(secret)
            .is_some_and(|slot| slot.state == State::Loading)
    }

    /// Why it cannot be read.
    pub(super) fn problem(&self, secret: &SecretId) -> Option<&str> {
        match &self.slots.get(secret)?.state {
            State::Unresolved(reason) => Some(reason),
            State::Loading | State::Resolved => None,
        }
    }

    pub(super) fn is_loading(&self) -> bool {
        self.slots.values().any(|slot| slot.state == State::Loading)
    }

    pub(super) fn unresolved(&self) -> usize {
        self.slots
            .values()
            .filter(|slot| matches!(slot.state, State::Unresolved(_)))
            .count()
    }

    fn release(&mut self, secret: &SecretId, user: &Id) {
        if let Some(slot) = self.slots.get_mut(secret) {
            slot.users.remove(user);
            if slot.users.is_empty() {
                self.slots.remove(secret);
            }
        }
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            users: HashSet::new(),
            state: State::Loading,
            value: None,
        }
    }
}

/// The resources that use a secret, for a log line.
fn users(slot: &Slot) -> String {
    let mut names: Vec<_> = slot
        .users
        .iter()
        .map(|(kind, key)| format!("{} {}", kind.name(), key.name))
        .collect();
    names.sort();
    names.join(", ")
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
