//! Decides what to start, swap and retire. Pure: events go in through [`Updater::fold`], actions come out
//! of [`Updater::decide`]; several events between two decisions cost one action per component at most.

mod entry;
mod event;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use trilby_components::registry::Block;

use crate::{
    initialise::Failure,
    instance::{Remains, Running, StateComponent},
    ledger::State,
    manifest::{Manifest, Received},
    properties::Keeper,
    view::{ComponentInfo, View},
};
use entry::{Entry, Phase};

pub(crate) use event::{Action, Event, Job};

/// For whom components are.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) app_id: String,
    /// `None` to take those of every namespace.
    pub(crate) namespace: Option<String>,
    /// Whether the operator is the source.
    pub(crate) kubernetes: bool,
}

/// Every component that is known, and what it is going through.
pub(crate) struct Updater {
    identity: Identity,
    /// Components that are there without the source's doing, unless the source has one of the name.
    builtin: BTreeMap<String, Manifest>,
    deny: Vec<String>,
    entries: BTreeMap<String, Entry>,
    /// Names that something happened to since the last decision.
    touched: BTreeSet<String>,
    actions: Vec<Action>,
    /// The name of the component in which actors keep their state.
    actor_store: Option<String>,
    loaded: bool,
}

impl Updater {
    pub(crate) fn new(identity: Identity, builtin: Vec<Manifest>) -> Self {
        let mut updater = Self {
            identity,
            builtin: BTreeMap::new(),
            deny: Vec::new(),
            entries: BTreeMap::new(),
            touched: BTreeSet::new(),
            actions: Vec::new(),
            actor_store: None,
            loaded: false,
        };
        for manifest in builtin {
            updater
                .builtin
                .insert(manifest.name.clone(), manifest.clone());
            updater.changed(Received::Manifest(Box::new(manifest)));
        }
        updater
    }

    /// Takes note of an event.
    pub(crate) fn fold(&mut self, event: Event) {
        match event {
            Event::Snapshot { all, newer } => self.snapshot(all, &newer),
            Event::Changed(received) => self.changed(received),
            Event::Gone(name) => self.gone(&name),
            Event::Started {
                name,
                attempt,
                outcome,
            } => self.started(&name, attempt, outcome),
            Event::Due { name, attempt } => {
                if let Some(entry) = self.entries.get_mut(&name)
                    && entry.attempt == attempt
                {
                    self.touched.insert(name);
                }
            }
            Event::Deny(rules) => {
                self.deny = rules;
                self.touched.extend(self.entries.keys().cloned());
            }
            Event::Arrived(types) => self.arrived(&types),
        }
    }

    /// Components that failed are not to wait for their pause, or for ever, when their type is there.
    fn arrived(&mut self, types: &BTreeSet<String>) {
        for (name, entry) in &mut self.entries {
            if entry.is_of(types) && entry.try_anew() {
                self.touched.insert(name.clone());
            }
        }
    }

    /// What to do about everything noted since the last call.
    pub(crate) fn decide(&mut self) -> Vec<Action> {
        // Starting one never touches another, so one pass is enough.
        for name in std::mem::take(&mut self.touched) {
            self.consider(&name);
        }
        self.elect_actor_store();
        std::mem::take(&mut self.actions)
    }

    /// Whether the source has been heard, and the first attempt of everything it named has ended.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded && self.touched.is_empty() && !self.entries.values().any(Entry::is_starting)
    }

    /// The first load is over: what failed until now keeps the sidecar from being ready.
    pub(crate) fn end_start(&mut self) {
        for entry in self.entries.values_mut() {
            entry.hold_up_start();
        }
    }

    /// Takes every instance out of service.
    pub(crate) fn retire_all(&mut self) -> Vec<Remains> {
        let entries = std::mem::take(&mut self.entries).into_values();
        self.actor_store = None;
        entries
            .filter_map(|entry| Some(entry.serving?.remains))
            .collect()
    }

    /// What serves, and what does not and why.
    pub(crate) fn view(&self) -> View {
        let entries = self.entries.iter();
        View::new(
            entries
                .map(|(name, entry)| (self.info(name, entry), entry.running().cloned()))
                .collect(),
        )
    }

    /// Where actors keep their state.
    pub(crate) fn actor_store(&self) -> Option<Arc<StateComponent>> {
        let entry = self.entries.get(self.actor_store.as_ref()?)?;
        entry.actor_store().cloned()
    }

    fn snapshot(&mut self, all: Vec<Received>, newer: &HashSet<String>) {
        self.loaded = true;
        let present: HashSet<String> = all.iter().map(|one| one.name().to_owned()).collect();
        let gone: Vec<String> = self
            .entries
            .keys()
            .filter(|name| !present.contains(*name) && !newer.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            self.gone(&name);
        }
        for received in all {
            if !newer.contains(received.name()) {
                self.changed(received);
            }
        }
    }

    fn changed(&mut self, received: Received) {
        let name = received.name().to_owned();
        if let Received::Manifest(manifest) = &received
            && !self.is_ours(manifest)
        {
            return self.gone(&name);
        }
        let news = match self.entries.get_mut(&name) {
            Some(entry) => entry.take(received),
            None => {
                self.entries.insert(name.clone(), Entry::new(received));
                true
            }
        };
        if news {
            self.touched.insert(name);
        }
    }

    fn is_ours(&self, manifest: &Manifest) -> bool {
        let Identity {
            app_id, namespace, ..
        } = &self.identity;
        manifest.in_scope_of(app_id, namespace.as_deref())
    }

    fn gone(&mut self, name: &str) {
        if let Some(builtin) = self.builtin.get(name) {
            let builtin = Received::Manifest(Box::new(builtin.clone()));
            let entry = self.entries.get_mut(name);
            if entry.is_some_and(|entry| entry.replace(builtin)) {
                self.touched.insert(name.to_owned());
            }
            return;
        }
        let Some(entry) = self.entries.remove(name) else {
            return;
        };
        self.touched.remove(name);
        tracing::info!(component = name, "component removed");
        self.actions
            .extend(entry.serving.map(|serving| Action::Retire(serving.remains)));
    }

    fn started(&mut self, name: &str, attempt: u64, outcome: Result<(Running, Remains), Failure>) {
        let entry = self.entries.get_mut(name);
        let Some(entry) = entry.filter(|entry| entry.attempt == attempt && entry.is_starting())
        else {
            // Superseded: nobody has seen this instance.
            self.actions
                .extend(outcome.map(|(_, remains)| Action::Retire(remains)));
            return;
        };
        match outcome {
            Ok((running, remains)) => {
                let is_secret_store = matches!(running, Running::Secret(_));
                let old = entry.serve(running, remains);
                self.actions
                    .extend(old.map(|old| Action::Retire(old.remains)));
                if is_secret_store {
                    self.wake_those_who_wait_for(name);
                }
            }
            Err(failure) => {
                let pause = entry.fail(failure);
                let name = name.to_owned();
                self.actions.extend(pause.map(|pause| Action::Wait {
                    name,
                    attempt,
                    pause,
                }));
            }
        }
    }

    fn wake_those_who_wait_for(&mut self, store: &str) {
        for (name, entry) in &self.entries {
            if matches!(&entry.phase, Phase::Waiting(awaited) if awaited == store) {
                self.touched.insert(name.clone());
            }
        }
    }

    /// Starts a component that was touched, or says why not.
    fn consider(&mut self, name: &str) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let manifest = match &entry.desired {
            Received::Manifest(manifest) => Arc::new((**manifest).clone()),
            Received::Broken { reason, .. } => {
                let failure = Failure::lasting(reason.clone());
                return self.refuse(name, failure);
            }
        };
        if manifest.is_denied_by(&self.deny) {
            return self.deny(name, &manifest);
        }
        if entry.is_up_to_date() {
            return;
        }
        let secrets = match manifest.keeper(self.identity.kubernetes) {
            Keeper::Store(store) => match self.secret_store(store) {
                Some(running) => Some(running),
                None => return self.park(name, store.to_owned()),
            },
            Keeper::Nobody | Keeper::Operator | Keeper::Unnamed => None,
        };
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let (attempt, cancelled) = entry.start();
        self.actions.push(Action::Start(Job {
            name: name.to_owned(),
            attempt,
            manifest,
            secrets,
            cancelled,
        }));
    }

    fn secret_store(&self, name: &str) -> Option<Running> {
        let running = self.entries.get(name)?.running()?;
        matches!(running, Running::Secret(_)).then(|| running.clone())
    }

    fn park(&mut self, name: &str, store: String) {
        let waiting = Phase::Waiting(store.clone());
        if let Some(entry) = self.entries.get_mut(name)
            && entry.settle(waiting)
        {
            tracing::warn!(
                component = name,
                secret_store = store,
                "component waits for its secret store"
            );
        }
    }

    fn refuse(&mut self, name: &str, failure: Failure) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.fail(failure);
        }
    }

    /// A denied component stops serving: unlike a mistake, a rule is meant.
    fn deny(&mut self, name: &str, manifest: &Manifest) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.settle(Phase::Denied) {
            tracing::error!(
                component = manifest.log_name(),
                "component is denied by the Configuration (components.deny)"
            );
        }
        self.actions.extend(
            entry
                .serving
                .take()
                .map(|serving| Action::Retire(serving.remains)),
        );
    }

    /// The one that holds actors' state keeps doing so as long as it can; then the first by name does.
    fn elect_actor_store(&mut self) {
        let able = |name: &String| {
            let entry = self.entries.get(name);
            entry.is_some_and(|entry| entry.actor_store().is_some())
        };
        if self.actor_store.as_ref().is_some_and(able) {
            return;
        }
        let next = self.entries.keys().find(|name| able(name)).cloned();
        if next != self.actor_store {
            tracing::info!(component = ?next, "actor state store changed");
            self.actor_store = next;
        }
    }

    /// Where each component stands that the source gave.
    pub(crate) fn states(&self) -> impl Iterator<Item = (String, State)> {
        let ours =
            |name: &String, state: &State| self.builtin.contains_key(name) && state.uid.is_empty();
        let states = self
            .entries
            .iter()
            .map(|(name, entry)| (name, entry.state()));
        states
            .filter(move |(name, state)| !ours(name, state))
            .map(|(name, state)| (name.clone(), state))
    }

    fn info(&self, name: &str, entry: &Entry) -> ComponentInfo {
        let (component_type, version) = entry.shown_as();
        let running = entry.running();
        ComponentInfo {
            name: name.to_owned(),
            component_type: component_type.to_owned(),
            version: version.to_owned(),
            capabilities: running.map(Running::capabilities).unwrap_or_default(),
            serving: running.is_some(),
            error: entry
                .error()
                .or_else(|| self.actor_store_problem(name, entry)),
            holds_up_start: entry.holds_up_start(),
        }
    }

    /// Why a component that is marked as the actor state store is not.
    fn actor_store_problem(&self, name: &str, entry: &Entry) -> Option<String> {
        let Some(Running::State(component)) = entry.running() else {
            return None;
        };
        if !component.holds_actors || self.actor_store.as_deref() == Some(name) {
            return None;
        }
        if !component.store.can_hold_actors() {
            return Some(
                "actorStateStore has no effect: the store lacks etags or transactions".to_owned(),
            );
        }
        let other = self.actor_store.as_deref()?;
        Some(format!(
            "detected duplicate actor state store: {other} and {name}; {other} holds the state of \
             actors"
        ))
    }
}

/// The block that a type names, for lookups.
pub(crate) fn block_of(type_name: &str) -> Option<Block> {
    let lower = type_name.to_lowercase();
    Block::of(&lower).map(|(block, _)| block)
}

#[cfg(test)]
mod tests;
