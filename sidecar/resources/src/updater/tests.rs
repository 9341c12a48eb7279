use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use trilby_components::{in_memory::InMemoryState, registry::Instance};

use super::{Action, Event, Identity, Job, Updater};
use crate::{
    initialise::Failure,
    instance::{Running, Settings},
    ledger::Outcome,
    manifest::{Received, Revision},
};

fn manifest(name: &str, version: &str) -> Received {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"type":"state.in-memory","version":"{version}"}}}}"#
    );
    Received::decode(json.as_bytes()).unwrap()
}

fn snapshot(all: &[(&str, &str)], newer: &[&str]) -> Event {
    Event::Snapshot {
        all: all
            .iter()
            .map(|(name, version)| manifest(name, version))
            .collect(),
        newer: newer
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<HashSet<_>>(),
    }
}

struct Fixture(Updater);

impl Fixture {
    fn new() -> Self {
        let identity = Identity {
            app_id: "app".into(),
            namespace: None,
            kubernetes: true,
        };
        Self(Updater::new(identity, Vec::new()))
    }

    fn hear(&mut self, event: Event) -> Vec<Action> {
        self.0.fold(event);
        self.0.decide()
    }

    /// The one attempt that the event leads to.
    fn attempt(&mut self, event: Event) -> Job {
        let mut actions = self.hear(event);
        match (actions.pop(), actions.is_empty()) {
            (Some(Action::Start(job)), true) => job,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, job: &Job, outcome: Result<(), Failure>) -> Vec<Action> {
        let running = || {
            let instance = Instance::State(Arc::new(InMemoryState::default()));
            Running::new(&job.name, instance, Settings::default())
        };
        self.hear(Event::Started {
            name: job.name.clone(),
            attempt: job.attempt,
            outcome: outcome.map(|()| running()),
        })
    }

    fn serves(&self, name: &str) -> bool {
        self.0.view().state_store(name).is_ok()
    }
}

#[test]
fn nothing_is_loaded_before_the_source_was_heard_and_attempts_ended() {
    let mut updater = Fixture::new();
    assert!(!updater.0.is_loaded());
    let job = updater.attempt(snapshot(&[("a", "v1")], &[]));
    assert!(!updater.0.is_loaded());
    assert!(updater.end(&job, Err(Failure::lasting("no"))).is_empty());
    assert!(updater.0.is_loaded());
}

#[test]
fn several_changes_between_two_decisions_are_one_attempt() {
    let mut updater = Fixture::new();
    updater.0.fold(Event::Changed(manifest("a", "v1")));
    updater.0.fold(Event::Changed(manifest("a", "v2")));
    let job = updater.attempt(Event::Changed(manifest("a", "v3")));
    assert_eq!(job.manifest.version, "v3");
}

#[test]
fn a_superseded_attempt_is_cancelled_and_its_instance_retired() {
    let mut updater = Fixture::new();
    let first = updater.attempt(Event::Changed(manifest("a", "v1")));
    let second = updater.attempt(Event::Changed(manifest("a", "v2")));
    assert!(first.cancelled.is_cancelled());
    assert!(!second.cancelled.is_cancelled());
    let late = updater.end(&first, Ok(()));
    assert!(matches!(&late[..], [Action::Retire(_)]), "{late:?}");
    assert!(!updater.serves("a"));
    assert!(updater.end(&second, Ok(())).is_empty());
    assert!(updater.serves("a"));
}

#[test]
fn an_attempt_for_what_is_gone_is_retired() {
    let mut updater = Fixture::new();
    let job = updater.attempt(Event::Changed(manifest("a", "v1")));
    assert!(updater.hear(Event::Gone("a".into())).is_empty());
    assert!(job.cancelled.is_cancelled());
    let late = updater.end(&job, Ok(()));
    assert!(matches!(&late[..], [Action::Retire(_)]), "{late:?}");
}

#[test]
fn a_list_that_is_older_than_a_change_leaves_it_alone() {
    let mut updater = Fixture::new();
    let changed = updater.attempt(Event::Changed(manifest("changed", "v2")));
    updater.end(&changed, Ok(()));
    let created = updater.attempt(Event::Changed(manifest("created", "v1")));
    updater.end(&created, Ok(()));
    let before = snapshot(
        &[("changed", "v1"), ("deleted", "v1")],
        &["changed", "created", "deleted"],
    );
    assert!(updater.hear(before).is_empty());
    assert!(updater.serves("changed") && updater.serves("created"));
    let gone = updater.hear(snapshot(&[("changed", "v2")], &[]));
    assert!(matches!(&gone[..], [Action::Retire(_)]), "{gone:?}");
    assert!(!updater.serves("created"));
}

#[test]
fn what_serves_is_shown_as_what_it_is_and_not_as_a_bad_update() {
    let mut updater = Fixture::new();
    let job = updater.attempt(Event::Changed(manifest("a", "v1")));
    updater.end(&job, Ok(()));
    let shown = |updater: &Fixture| {
        let view = updater.0.view();
        let info = view.infos().next().unwrap().clone();
        (info.component_type, info.version, info.error)
    };
    let (store, v1) = ("state.in-memory".to_owned(), "v1".to_owned());
    let broken = Event::Changed(Received::Broken {
        name: "a".to_owned(),
        reason: "no component".to_owned(),
        revision: Revision::default(),
    });
    assert!(updater.hear(broken).is_empty());
    let wrong = Some("no component".to_owned());
    assert_eq!(shown(&updater), (store.clone(), v1.clone(), wrong));

    let job = updater.attempt(Event::Changed(manifest("a", "v2")));
    updater.end(&job, Err(Failure::lasting("refused")));
    let wrong = Some("refused".to_owned());
    assert_eq!(shown(&updater), (store, v1, wrong));
    assert!(updater.serves("a"));
}

#[test]
fn only_a_passing_failure_is_tried_again() {
    let mut updater = Fixture::new();
    let job = updater.attempt(Event::Changed(manifest("a", "v1")));
    let waits = updater.end(&job, Err(Failure::passing("away")));
    let [Action::Wait { name, attempt, .. }] = &waits[..] else {
        panic!("{waits:?}");
    };
    let due = || Event::Due {
        name: name.clone(),
        attempt: *attempt,
    };
    let again = updater.attempt(due());
    assert_eq!(again.attempt, job.attempt + 1);
    assert!(
        updater.hear(due()).is_empty(),
        "the pause of an earlier attempt"
    );
    assert!(
        updater
            .end(&again, Err(Failure::lasting("refused")))
            .is_empty()
    );
    assert!(updater.hear(Event::Deny(Vec::new())).is_empty());
}

#[test]
fn a_component_of_a_builtins_name_replaces_it_until_it_is_gone() {
    let Received::Manifest(builtin) = manifest("kubernetes", "v1") else {
        panic!("it is a manifest");
    };
    let mut updater = Fixture::new();
    updater.0 = Updater::new(updater.0.identity.clone(), vec![*builtin]);
    let job = updater.attempt(snapshot(&[], &[]));
    updater.end(&job, Ok(()));
    assert!(updater.hear(snapshot(&[], &[])).is_empty());
    let own = updater.attempt(snapshot(&[("kubernetes", "v0")], &[]));
    assert_eq!(own.manifest.version, "v0");
    updater.end(&own, Ok(()));
    let builtin = updater.attempt(snapshot(&[], &[]));
    assert_eq!(builtin.manifest.version, "v1");
}

#[test]
fn a_version_is_pending_then_in_force_or_refused() {
    let mut updater = Fixture::new();
    let version = |generation: u32, version: &str| {
        let json = format!(
            r#"{{"metadata":{{"name":"a","uid":"u","generation":{generation}}},"spec":{{"type":"state.in-memory",
            "version":"{version}"}}}}"#
        );
        Event::Changed(Received::decode(json.as_bytes()).unwrap())
    };
    let state = |updater: &Fixture| {
        let (_, state) = updater.0.states().next().unwrap();
        (state.generation, state.outcome)
    };
    let job = updater.attempt(version(1, "v1"));
    assert_eq!(state(&updater), (1, Outcome::Pending));
    updater.end(&job, Ok(()));
    assert_eq!(state(&updater), (1, Outcome::Loaded));

    let job = updater.attempt(version(2, "v2"));
    assert_eq!(state(&updater), (2, Outcome::Pending));
    updater.end(&job, Err(Failure::lasting("refused")));
    let refused = Outcome::Failed {
        reason: "refused".to_owned(),
        older_in_force: true,
    };
    assert_eq!(state(&updater), (2, refused));

    let broken = r#"{"metadata":{"name":"a","uid":"u","generation":3},"spec":1}"#;
    updater.hear(Event::Changed(Received::decode(broken.as_bytes()).unwrap()));
    assert_eq!(state(&updater).0, 3, "also of what is no component");
}

#[test]
fn what_the_source_did_not_give_is_not_reported() {
    let identity = Identity {
        app_id: "app".into(),
        namespace: None,
        kubernetes: true,
    };
    let Received::Manifest(builtin) = manifest("kubernetes", "v1") else {
        unreachable!("it is a component");
    };
    let updater = Updater::new(identity, vec![*builtin]);
    assert_eq!(updater.states().count(), 0);
}

#[test]
fn a_component_whose_type_arrives_is_tried_again_at_once() {
    let mut updater = Fixture::new();
    let types = |name: &str| Event::Arrived(BTreeSet::from([name.to_owned()]));
    let job = updater.attempt(snapshot(&[("a", "v1")], &[]));
    assert!(
        updater.hear(types("state.in-memory")).is_empty(),
        "it is being tried"
    );
    updater.end(&job, Err(Failure::lasting("there is no such type")));
    assert!(updater.hear(types("state.other")).is_empty());
    let job = updater.attempt(types("state.in-memory"));
    updater.end(&job, Err(Failure::passing("its process is away")));
    let job = updater.attempt(types("state.in-memory"));
    updater.end(&job, Ok(()));
    assert!(updater.serves("a"));
    assert!(
        updater.hear(types("state.in-memory")).is_empty(),
        "it serves"
    );
}
