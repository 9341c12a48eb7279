//! The resources of one kind, and where each of them stands. No I/O, no await, no clock.

use std::{collections::BTreeMap, collections::HashSet, time::Duration};

use bytes::Bytes;
use trilby_crds::Object;
use trilby_grpc::Backoff;

use super::Declared;
use crate::{
    initialise::Failure,
    kind::{Told, metadata_of, problem_with},
    ledger::{Outcome, State as Standing},
    manifest::Revision,
    properties::Keeper,
    resource::{Problem, Resource},
};

#[cfg(test)]
mod tests;

/// The resources of one kind.
pub(crate) struct Collection<S> {
    app_id: String,
    /// `None` to take those of every namespace.
    namespace: Option<String>,
    entries: BTreeMap<String, Entry<S>>,
    told: bool,
    /// Failures since they were last taken.
    failures: usize,
}

/// One resource.
struct Entry<S> {
    /// As it shall be; an error when it cannot be read.
    desired: Result<Box<Object<S>>, String>,
    revision: Revision,
    state: State,
    published: Option<Resource<S>>,
}

/// Where a resource stands.
enum State {
    /// To be tried.
    New,
    /// What is desired is published.
    Settled,
    /// Its secret store, of this name, does not serve.
    Waiting(String),
    Failed(Failure),
}

/// A resource whose values are to be filled in.
pub(crate) struct Job<S> {
    pub(crate) name: String,
    pub(crate) object: Box<Object<S>>,
}

impl<S: Declared> Collection<S> {
    pub(crate) fn new(app_id: String, namespace: Option<String>) -> Self {
        Self {
            app_id,
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            entries: BTreeMap::new(),
            told: false,
            failures: 0,
        }
    }

    /// Whether the source said all that there is.
    pub(crate) fn is_told(&self) -> bool {
        self.told
    }

    /// Takes note of what a source says.
    pub(crate) fn fold(&mut self, told: Told) {
        match told {
            Told::Snapshot { all, newer } => self.snapshot(&all, &newer),
            Told::Changed(json) => self.changed(&json),
            Told::Gone(name) => self.gone(&name),
            Told::Problem(_) => {}
        }
    }

    fn snapshot(&mut self, all: &[Bytes], newer: &HashSet<String>) {
        self.told = true;
        let names = all.iter().filter_map(|json| metadata_of(json).ok());
        let present: HashSet<String> = names.map(|metadata| metadata.name).collect();
        let gone: Vec<String> = self.entries.keys().cloned().collect();
        for name in gone {
            if !present.contains(&name) && !newer.contains(&name) {
                self.gone(&name);
            }
        }
        for json in all {
            let name = metadata_of(json).map(|metadata| metadata.name);
            if !name.is_ok_and(|name| newer.contains(&name)) {
                self.changed(json);
            }
        }
    }

    fn changed(&mut self, json: &[u8]) {
        let name = match metadata_of(json) {
            Ok(metadata) => metadata.name,
            Err(error) => {
                tracing::error!(kind = S::KIND, %error, "received a resource without a name, it is ignored");
                return;
            }
        };
        let desired = match problem_with(&name) {
            Some(problem) => Err(format!("the name {name:?} {problem}")),
            None => S::decode(json)
                .map(Box::new)
                .map_err(|error| format!("it is not a {}: {error}", S::KIND)),
        };
        match desired {
            Ok(object) if !self.is_ours(&object) => self.gone(&name),
            desired => self.want(name, desired, Revision::read(json)),
        }
    }

    fn is_ours(&self, object: &Object<S>) -> bool {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let here = match &self.namespace {
            Some(ours) => namespace.is_empty() || namespace == ours,
            None => true,
        };
        here && object.in_scope_of(&self.app_id)
    }

    fn want(&mut self, name: String, desired: Result<Box<Object<S>>, String>, revision: Revision) {
        let Some(entry) = self.entries.get_mut(&name) else {
            let entry = Entry {
                desired,
                revision,
                state: State::New,
                published: None,
            };
            self.entries.insert(name, entry);
            return;
        };
        if desired.is_ok() && revision.is_before(&entry.revision) {
            return;
        }
        let same = match (&entry.desired, &desired) {
            (Ok(old), Ok(new)) => is_same(old, new),
            (Err(old), Err(new)) => old == new,
            _ => false,
        };
        entry.revision = revision;
        if !same {
            entry.desired = desired;
            entry.state = State::New;
        }
    }

    fn gone(&mut self, name: &str) {
        if self.entries.remove(name).is_some() {
            tracing::info!(kind = S::KIND, name, "resource removed");
        }
    }

    /// A secret store came or went.
    pub(crate) fn stores_changed(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(entry.state, State::Waiting(_)) {
                entry.state = State::New;
            }
        }
    }

    /// What failed and may succeed now is to be tried.
    pub(crate) fn try_again(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(&entry.state, State::Failed(failure) if failure.passing) {
                entry.state = State::New;
            }
        }
    }

    /// How long to wait before [`Self::try_again`]; `None` when nothing failed that may succeed.
    pub(crate) fn pause(&self, backoff: &mut Backoff) -> Option<Duration> {
        let mut states = self.entries.values().map(|entry| &entry.state);
        if states.any(|state| matches!(state, State::Failed(failure) if failure.passing)) {
            return Some(backoff.pause());
        }
        backoff.reset();
        None
    }

    /// What is to be tried now. What cannot be is put aside, with its reason.
    pub(crate) fn jobs(&mut self, kubernetes: bool, serves: impl Fn(&str) -> bool) -> Vec<Job<S>> {
        let mut jobs = Vec::new();
        for (name, entry) in &mut self.entries {
            if !matches!(entry.state, State::New) {
                continue;
            }
            let object = match &entry.desired {
                Ok(object) => object.clone(),
                Err(reason) => {
                    let failure = Failure::lasting(reason.clone());
                    entry.fail::<S>(name, failure);
                    self.failures += 1;
                    continue;
                }
            };
            if let Err(reason) = object.spec.check(kubernetes) {
                entry.fail::<S>(name, Failure::lasting(reason));
                self.failures += 1;
                continue;
            }
            if let Some(store) = awaited(&object, kubernetes, &serves) {
                tracing::warn!(
                    kind = S::KIND,
                    name,
                    secret_store = store,
                    "resource waits for its secret store"
                );
                entry.state = State::Waiting(store);
                continue;
            }
            jobs.push(Job {
                name: name.clone(),
                object,
            });
        }
        jobs
    }

    /// Takes note of how an attempt ended.
    pub(crate) fn settle(&mut self, name: &str, outcome: Result<S, Failure>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        match (outcome, &entry.desired) {
            (Ok(spec), Ok(object)) => {
                entry.published = Some(Resource {
                    name: name.to_owned(),
                    namespace: object.metadata.namespace.clone().unwrap_or_default(),
                    spec,
                    scopes: object.scopes.clone(),
                });
                entry.state = State::Settled;
            }
            (Err(failure), _) => {
                entry.fail::<S>(name, failure);
                self.failures += 1;
            }
            (Ok(_), Err(_)) => {}
        }
    }

    /// How many attempts failed since the last call.
    pub(crate) fn take_failures(&mut self) -> usize {
        std::mem::take(&mut self.failures)
    }

    /// All that can be used, in the order of their names.
    pub(crate) fn published(&self) -> Vec<Resource<S>> {
        let published = |entry: &Entry<S>| entry.published.clone();
        self.entries.values().filter_map(published).collect()
    }

    /// What cannot be used as it stands, and why.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let problem = |(name, entry): (&String, &Entry<S>)| {
            Some(Problem {
                kind: S::KIND,
                name: name.clone(),
                reason: entry.problem()?,
            })
        };
        self.entries.iter().filter_map(problem).collect()
    }

    /// Where each of them stands.
    pub(crate) fn states(&self) -> impl Iterator<Item = (String, Standing)> {
        let entries = self.entries.iter();
        entries.map(|(name, entry)| (name.clone(), entry.standing()))
    }
}

impl<S> Entry<S> {
    /// Why what is desired cannot be used as it stands.
    fn problem(&self) -> Option<String> {
        match &self.state {
            State::New | State::Settled => None,
            State::Waiting(store) => Some(format!(
                "it waits for the secret store {store:?}, which does not serve"
            )),
            State::Failed(failure) => Some(failure.reason.clone()),
        }
    }

    fn standing(&self) -> Standing {
        let outcome = match (&self.state, self.problem()) {
            (State::Settled, _) => Outcome::Loaded,
            (_, Some(reason)) => Outcome::Failed {
                reason,
                older_in_force: self.published.is_some(),
            },
            (_, None) => Outcome::Pending,
        };
        Standing::new(&self.revision, outcome)
    }

    fn fail<K: Declared>(&mut self, name: &str, failure: Failure) {
        let (kind, error) = (K::KIND, &failure.reason);
        let (old_one_serves, will_retry) = (self.published.is_some(), failure.passing);
        tracing::error!(
            kind,
            name,
            old_one_serves,
            will_retry,
            error,
            "resource cannot be used"
        );
        self.state = State::Failed(failure);
    }
}

/// The secret store that the resource has to wait for.
fn awaited<S: Declared>(
    object: &Object<S>,
    kubernetes: bool,
    serves: impl Fn(&str) -> bool,
) -> Option<String> {
    let has_secrets = object
        .spec
        .clone()
        .places()
        .iter()
        .any(|place| place.secret.is_some());
    match Keeper::of(S::secret_store(object), has_secrets, kubernetes) {
        Keeper::Store(store) if !serves(store) => Some(store.to_owned()),
        _ => None,
    }
}

/// Whether a sidecar would use both alike.
fn is_same<S: Declared>(old: &Object<S>, new: &Object<S>) -> bool {
    old.spec == new.spec
        && old.scopes == new.scopes
        && old.secret_store() == new.secret_store()
        && old.metadata.namespace == new.metadata.namespace
}
