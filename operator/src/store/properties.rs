//! Whatever happens in whatever order, seen or unseen: in the end there is what one list would have brought.

use std::collections::{BTreeMap, HashMap, HashSet};

use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Fetched, SecretId, Store};
use crate::{
    metrics::Metrics,
    reports::Reports,
    resource::{Document, Kind, SecretData},
    view::{Change, Published, View, Views, changes},
};

/// The app that looks.
const APP: &str = "cart";

/// What the API server has of one component.
#[derive(Clone, Debug)]
struct Object {
    setting: u8,
    secret: Option<u8>,
    /// Whether `cart` is in its scope.
    visible: bool,
    decodable: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// A component is made, changed or deleted, and the operator sees it or not.
    Change(u8, Option<Object>, Seen),
    /// The watch begins anew, and is cut after so many objects, or not.
    Relist(Option<usize>),
    /// A secret was read, or could not be.
    Read(u8, Option<u8>),
    /// The sidecar reads its stream.
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
}

fn object() -> impl Strategy<Value = Object> {
    let secret = prop_oneof![Just(None), (0..2u8).prop_map(Some)];
    (0..3u8, secret, any::<bool>(), prop::bool::weighted(0.9)).prop_map(
        |(setting, secret, visible, decodable)| Object {
            setting,
            secret,
            visible,
            decodable,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let seen = prop_oneof![3 => Just(Seen::Yes), 1 => Just(Seen::No)];
    prop_oneof![
        4 => (0..4u8, prop::option::weighted(0.7, object()), seen)
            .prop_map(|(name, object, seen)| Step::Change(name, object, seen)),
        1 => prop::option::of(0..4usize).prop_map(Step::Relist),
        2 => (0..2u8, prop::option::of(0..3u8)).prop_map(|(secret, value)| Step::Read(secret, value)),
        1 => Just(Step::Look),
    ]
}

/// The operator's side.
struct Subject {
    store: Store,
    components: Views,
}

/// The API server's side.
type Truth = BTreeMap<u8, (Object, u64)>;

impl Subject {
    fn new() -> Self {
        let views: HashMap<Kind, Views> = Kind::ALL.map(|kind| (kind, Views::default())).into();
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let reports = Reports::new(metrics.clone());
        Self {
            components: views[&Kind::Component].clone(),
            store: Store::new(|kind| views[&kind].clone(), metrics, reports),
        }
    }

    fn observe(&mut self, event: Event<Document>) {
        self.store.observe(Kind::Component, event);
    }

    /// A list, as a watch brings it.
    fn list(&mut self, truth: &Truth, cut: Option<usize>) {
        self.observe(Event::Init);
        for (name, (object, version)) in truth.iter().take(cut.unwrap_or(usize::MAX)) {
            self.observe(Event::InitApply(document(*name, object, *version)));
        }
        if cut.is_none() {
            self.observe(Event::InitDone);
        }
    }

    fn read(&mut self, secret: u8, value: Option<u8>) {
        let id = SecretId {
            namespace: "shop".into(),
            name: format!("secret-{secret}").into(),
        };
        let outcome = match value {
            Some(value) => Fetched::Found(SecretData::keep(
                [("password".to_owned(), vec![value])],
                |_| true,
            )),
            None => Fetched::Missing,
        };
        self.store.fetched(&id, outcome);
    }

    /// Every secret that is there, read.
    fn read_all(&mut self) {
        for secret in 0..2 {
            self.read(secret, Some(secret));
        }
    }

    fn view(&self) -> std::sync::Arc<View> {
        self.components.get("shop")
    }
}

fn document(name: u8, object: &Object, version: u64) -> Document {
    let scopes = if object.visible {
        json!([])
    } else {
        json!(["other"])
    };
    let mut component = json!({
        "metadata": {
            "name": format!("component-{name}"), "namespace": "shop",
            "resourceVersion": version.to_string(), "generation": version,
        },
        "spec": {"type": "state.redis", "version": "v1", "metadata": [
            {"name": "setting", "value": object.setting.to_string()},
        ]},
        "scopes": scopes,
    });
    if let Some(secret) = object.secret {
        let reference = json!({"name": format!("secret-{secret}"), "key": "password"});
        let settings = component["spec"]["metadata"].as_array_mut().unwrap();
        settings.push(json!({"name": "password", "secretKeyRef": reference}));
    }
    if !object.decodable {
        component["spec"]["metadata"] = json!("not a list");
    }
    serde_json::from_str(&component.to_string()).unwrap()
}

fn sees(_: &str, resource: &Published) -> bool {
    resource.in_scope_of(APP)
}

fn name_of(resource: &Published) -> String {
    let json: Value = serde_json::from_slice(resource.encoded.json()).unwrap();
    json["metadata"]["name"].as_str().unwrap().to_owned()
}

fn text_of(resource: &Published) -> String {
    String::from_utf8(resource.encoded.json().to_vec()).unwrap()
}

/// What the app sees of a view, by name.
fn visible(view: &View) -> BTreeMap<String, String> {
    let seen = view.values().filter(|resource| sees("", resource));
    seen.map(|resource| (name_of(resource), text_of(resource)))
        .collect()
}

/// A sidecar that only has its stream.
struct Sidecar {
    seen: std::sync::Arc<View>,
    has: BTreeMap<String, String>,
}

impl Sidecar {
    /// Takes what it is told; each event fits what it has.
    fn look(&mut self, current: std::sync::Arc<View>) {
        for (change, resource) in changes(&self.seen, &current, sees) {
            let (name, text) = (name_of(&resource), text_of(&resource));
            let before = match change {
                Change::Deleted => self.has.remove(&name),
                Change::Created | Change::Updated => self.has.insert(name, text.clone()),
            };
            match change {
                Change::Created => assert_eq!(before, None),
                Change::Updated => assert!(before.is_some_and(|before| before != text)),
                Change::Deleted => assert_eq!(before, Some(text), "as it was known"),
            }
        }
        self.seen = current;
    }
}

fn settings() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn every_history_ends_in_the_same_views(steps in prop::collection::vec(step(), 0..40)) {
        let (mut subject, mut truth, mut version) = (Subject::new(), Truth::new(), 0);
        subject.list(&truth, None);
        let mut sidecar = Sidecar { seen: subject.view(), has: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Change(name, Some(object), seen) => {
                    version += 1;
                    if seen == Seen::Yes {
                        subject.observe(Event::Apply(document(name, &object, version)));
                    }
                    truth.insert(name, (object, version));
                }
                Step::Change(name, None, seen) => {
                    let gone = truth.remove(&name);
                    if let Some((object, version)) = gone.filter(|_| seen == Seen::Yes) {
                        subject.observe(Event::Delete(document(name, &object, version)));
                    }
                }
                Step::Relist(cut) => subject.list(&truth, cut),
                Step::Read(secret, value) => subject.read(secret, value),
                Step::Look => sidecar.look(subject.view()),
            }
        }
        // What does not decode leaves what was there before, which a list alone cannot bring.
        let broken: HashSet<u8> = truth.iter().filter(|(_, (object, _))| !object.decodable).map(|(name, _)| *name).collect();
        for name in broken {
            version += 1;
            let (object, at) = truth.get_mut(&name).unwrap();
            (object.decodable, *at) = (true, version);
        }
        subject.list(&truth, None);
        subject.read_all();
        sidecar.look(subject.view());
        let mut fresh = Subject::new();
        fresh.list(&truth, None);
        fresh.read_all();
        prop_assert_eq!(visible(&subject.view()), visible(&fresh.view()));
        prop_assert_eq!(subject.view().values().count(), fresh.view().values().count());
        prop_assert_eq!(&sidecar.has, &visible(&fresh.view()));

        // A list that brings nothing new tells nobody anything.
        let known = subject.components.subscribe("shop");
        subject.list(&truth, None);
        subject.read_all();
        prop_assert!(!known.has_changed().unwrap());
    }
}
