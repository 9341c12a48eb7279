use std::{collections::HashMap, sync::Arc};

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::{Fetched, SecretId, Store};
use crate::{
    metrics::Metrics,
    reports::{Acceptance, Reports},
    resource::{Document, Kind, SecretData},
    view::{View, Views},
};

struct Fixture {
    store: Store,
    components: Views,
    reports: Reports,
}

impl Fixture {
    fn new() -> Self {
        let views: HashMap<Kind, Views> = Kind::ALL.map(|kind| (kind, Views::default())).into();
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let reports = Reports::new(metrics.clone());
        Self {
            reports: reports.clone(),
            components: views[&Kind::Component].clone(),
            store: Store::new(|kind| views[&kind].clone(), metrics, reports),
        }
    }

    fn apply(&mut self, object: &Value) -> Vec<String> {
        self.observe(Event::Apply(document(object)))
    }

    /// The names of the secrets to read.
    fn observe(&mut self, event: Event<Document>) -> Vec<String> {
        let mut secrets: Vec<_> = self
            .store
            .observe(Kind::Component, event)
            .into_iter()
            .map(|secret| secret.name.to_string())
            .collect();
        secrets.sort();
        secrets
    }

    fn fetched(&mut self, secret: &str, outcome: Fetched) -> bool {
        let secret = SecretId {
            namespace: "shop".into(),
            name: secret.into(),
        };
        self.store.fetched(&secret, outcome)
    }

    fn view(&self) -> Arc<View> {
        self.components.get("shop")
    }

    fn names(&self) -> Vec<String> {
        let names = self.view();
        let names = names.values().map(|resource| {
            let json: Value = serde_json::from_slice(resource.encoded.json()).unwrap();
            json["metadata"]["name"].as_str().unwrap().to_owned()
        });
        names.collect()
    }

    /// The value of the first setting of a component.
    fn value(&self, component: &str) -> Value {
        let json: Value = serde_json::from_slice(&self.json(component)).unwrap();
        json["spec"]["metadata"][0]["value"].clone()
    }

    /// The text of a component.
    fn json(&self, component: &str) -> Vec<u8> {
        self.view().get(component).unwrap().encoded.json().to_vec()
    }
}

fn document(object: &Value) -> Document {
    serde_json::from_str(&object.to_string()).unwrap()
}

fn component(name: &str, version: u32) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "resourceVersion": version.to_string()},
           "spec": {"type": "state.in-memory", "version": "v1"}})
}

fn with_secret(name: &str, secret: &str) -> Value {
    let mut component = component(name, 1);
    component["spec"]["metadata"] = json!([
        {"name": "password", "secretKeyRef": {"name": secret, "key": "password"}}
    ]);
    component
}

fn found(password: &str) -> Fetched {
    let data = [("password".to_owned(), password.as_bytes().to_vec())];
    Fetched::Found(SecretData::keep(data, |_| true))
}

#[test]
fn a_resource_is_there_until_it_is_deleted() {
    let mut fixture = Fixture::new();
    fixture.apply(&component("a", 1));
    assert_eq!(fixture.names(), ["a"]);
    fixture.observe(Event::Delete(document(&component("a", 1))));
    assert!(fixture.names().is_empty());
}

#[test]
fn a_relist_that_brings_nothing_new_changes_no_view() {
    let mut fixture = Fixture::new();
    fixture.apply(&component("a", 1));
    let follower = fixture.components.subscribe("shop");
    fixture.observe(Event::Init);
    fixture.observe(Event::InitApply(document(&component("a", 1))));
    fixture.observe(Event::InitDone);
    assert!(!follower.has_changed().unwrap());
}

#[test]
fn a_relist_removes_what_it_did_not_bring() {
    let mut fixture = Fixture::new();
    fixture.apply(&component("gone", 1));
    fixture.observe(Event::Init);
    fixture.observe(Event::InitApply(document(&component("here", 1))));
    fixture.observe(Event::InitDone);
    assert_eq!(fixture.names(), ["here"]);
}

#[test]
fn an_undecodable_object_is_skipped_and_what_was_there_before_stays() {
    let mut fixture = Fixture::new();
    fixture.apply(&component("a", 1));
    let before = fixture.json("a");
    let mut broken = component("a", 2);
    broken["spec"]["type"] = json!(3);
    fixture.observe(Event::Init);
    fixture.observe(Event::InitApply(document(&broken)));
    fixture.observe(Event::InitApply(document(&component("b", 1))));
    fixture.observe(Event::InitDone);
    assert_eq!(fixture.names(), ["a", "b"]);
    assert_eq!(fixture.json("a"), before);
}

#[test]
fn a_component_appears_with_its_secret_not_before() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.apply(&with_secret("store", "redis")), ["redis"]);
    assert!(fixture.names().is_empty());
    assert!(fixture.fetched("redis", found("one")));
    assert_eq!(fixture.value("store"), "b25l");
}

#[test]
fn a_missing_secret_leaves_its_component_without_a_value_and_others_alone() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "absent"));
    fixture.apply(&component("other", 1));
    assert_eq!(fixture.names(), ["other"]);
    assert!(
        fixture.fetched("absent", Fetched::Missing),
        "it is tried again"
    );
    assert_eq!(fixture.names(), ["other", "store"]);
    assert_eq!(fixture.value("store"), Value::Null);
    fixture.fetched("absent", found("one"));
    assert_eq!(fixture.value("store"), "b25l");
}

#[test]
fn a_new_value_of_a_secret_updates_its_component() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    let mut follower = fixture.components.subscribe("shop");
    fixture.fetched("redis", found("one"));
    assert!(
        !follower.has_changed().unwrap(),
        "the same value is no change"
    );
    fixture.fetched("redis", found("two"));
    assert!(follower.has_changed().unwrap());
    follower.mark_unchanged();
    assert_eq!(fixture.value("store"), "dHdv");
}

#[test]
fn a_secret_that_cannot_be_read_any_more_keeps_its_last_value() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    for outcome in [Fetched::Missing, Fetched::Failed("forbidden".into())] {
        assert!(fixture.fetched("redis", outcome));
        assert_eq!(fixture.value("store"), "b25l");
    }
}

#[test]
fn a_changed_component_is_published_with_a_fresh_read_of_its_secret() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    let before = fixture.json("store");
    let mut changed = with_secret("store", "redis");
    changed["metadata"]["generation"] = json!(2);
    assert_eq!(fixture.apply(&changed), ["redis"]);
    assert_eq!(fixture.json("store"), before, "not with the old secret");
    fixture.fetched("redis", found("two"));
    assert_eq!(fixture.value("store"), "dHdv");
}

#[test]
fn a_secret_that_nobody_refers_to_is_not_read_again() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    fixture.observe(Event::Delete(document(&with_secret("store", "redis"))));
    assert!(!fixture.fetched("redis", found("one")));
}

#[test]
fn the_deletion_of_a_component_waits_for_no_secret() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    let mut changed = with_secret("store", "absent");
    changed["metadata"]["generation"] = json!(2);
    fixture.apply(&changed);
    fixture.observe(Event::Delete(document(&changed)));
    assert!(fixture.names().is_empty());
}

#[test]
fn both_kinds_and_their_secrets_make_it_synced() {
    let mut fixture = Fixture::new();
    for kind in Kind::ALL {
        assert!(!fixture.store.is_synced());
        fixture.store.observe(kind, Event::Init);
        if kind == Kind::Component {
            fixture.observe(Event::InitApply(document(&with_secret("store", "redis"))));
        }
        fixture.store.observe(kind, Event::InitDone);
    }
    assert!(!fixture.store.is_synced(), "a secret is being read");
    fixture.fetched("redis", Fetched::Missing);
    assert!(fixture.store.is_synced());
}

#[test]
fn only_the_keys_that_are_referred_to_are_wanted() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    let secret = SecretId {
        namespace: "shop".into(),
        name: "redis".into(),
    };
    let wanted: Vec<_> = fixture.store.wanted_keys(&secret).into_iter().collect();
    assert_eq!(wanted, [Box::from("password")]);
}

#[test]
fn a_new_status_is_no_change_for_sidecars() {
    let mut fixture = Fixture::new();
    fixture.apply(&with_secret("store", "redis"));
    fixture.fetched("redis", found("one"));
    let follower = fixture.components.subscribe("shop");
    let mut written = with_secret("store", "redis");
    written["metadata"]["resourceVersion"] = json!("2");
    written["metadata"]["managedFields"] = json!([{"manager": "dapr-operator"}]);
    written["status"] = json!({"sidecars": "1/1"});
    assert!(fixture.apply(&written).is_empty(), "nothing to read");
    assert!(!follower.has_changed().unwrap());

    written["metadata"]["generation"] = json!(2);
    fixture.apply(&written);
    fixture.fetched("redis", found("one"));
    assert!(follower.has_changed().unwrap());
    let json: Value = serde_json::from_slice(&fixture.json("store")).unwrap();
    assert!(json.get("status").is_none(), "{json}");
}

#[test]
fn reports_know_of_every_object_and_whether_it_is_served() {
    let mut fixture = Fixture::new();
    let acceptance = |fixture: &Fixture, name: &str| {
        let key = document(&component(name, 1)).key();
        let known = fixture.reports.status(&(Kind::Component, key));
        known.map(|(known, _)| known.acceptance)
    };
    fixture.apply(&with_secret("store", "redis"));
    assert_eq!(acceptance(&fixture, "store"), Some(Acceptance::Unknown));
    fixture.fetched("redis", Fetched::Failed("forbidden".into()));
    assert_eq!(
        acceptance(&fixture, "store"),
        Some(Acceptance::SecretUnreadable("forbidden".to_owned()))
    );
    fixture.fetched("redis", found("one"));
    assert_eq!(acceptance(&fixture, "store"), Some(Acceptance::Accepted));
    let mut broken = component("broken", 1);
    broken["spec"] = json!("none");
    fixture.apply(&broken);
    let why = acceptance(&fixture, "broken");
    assert!(matches!(why, Some(Acceptance::Undecodable(_))), "{why:?}");
    fixture.observe(Event::Delete(document(&broken)));
    assert_eq!(acceptance(&fixture, "broken"), None);
}
