//! What has to be known of other objects in the namespace.

use std::collections::{BTreeMap, BTreeSet};

use trilby_crds::ResiliencySpec;

/// At most so many objects of one kind are looked at for one review.
const MOST: usize = 16;

/// What to find out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Questions {
    pub(super) secrets: BTreeSet<String>,
    pub(super) components: BTreeSet<String>,
    /// Which stores actors could keep their state in.
    pub(super) actor_stores: bool,
    /// Which policies other Resiliencies define.
    pub(super) policies: bool,
}

/// What was found out. What is absent is unknown, and nothing is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The keys of Secrets; `None` where there is no such Secret.
    pub secrets: BTreeMap<String, Option<BTreeSet<String>>>,
    /// The types of Components; `None` where there is no such Component.
    pub components: BTreeMap<String, Option<String>>,
    /// Components that actors may keep their state in.
    pub actor_stores: Vec<ActorStore>,
    /// The policies of other Resiliencies.
    pub policies: Option<Policies>,
}

/// A state store with `actorStateStore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorStore {
    /// Its name.
    pub name: String,
    /// App ids that may use it; none means all.
    pub scopes: Vec<String>,
}

/// Names of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Of timeouts.
    pub timeouts: BTreeSet<String>,
    /// Of retries.
    pub retries: BTreeSet<String>,
    /// Of circuit breakers.
    pub circuit_breakers: BTreeSet<String>,
}

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn secret(&mut self, name: &str) {
        add(&mut self.secrets, name);
    }

    pub(super) fn component(&mut self, name: &str) {
        add(&mut self.components, name);
    }
}

impl Policies {
    /// Adds what a Resiliency defines.
    pub(super) fn learn(&mut self, spec: &ResiliencySpec) {
        let policies = &spec.policies;
        self.timeouts.extend(policies.timeouts.keys().cloned());
        self.retries.extend(policies.retries.keys().cloned());
        let breakers = policies.circuit_breakers.keys().cloned();
        self.circuit_breakers.extend(breakers);
    }
}

/// Names that cannot be an object's are not asked for: the answer would be an error about the request.
fn add(names: &mut BTreeSet<String>, name: &str) {
    let valid =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-.".contains(char);
    if !name.is_empty() && name.len() <= 253 && name.chars().all(valid) && names.len() < MOST {
        names.insert(name.to_owned());
    }
}
