//! Components, held against the catalogue of component types.

use serde_json::Value;
use trilby_component_catalogue::{Component as Known, Effect, Field, Kind, Lookup, nearest};
use trilby_crds::{Component, NameValuePair};
use trilby_go_syntax::{parse_duration, truthy};

use super::{
    CATALOGUE, Subject, decode,
    facts::{ActorStore, Questions},
    finding::Findings,
    pairs,
};

const LIST: &str = "spec.metadata";
/// The setting that makes a state store the actors'.
const ACTOR_STORE: &str = "actorStateStore";
/// What a store has to be able to do for it, in the metadata API's spelling.
const ACTOR: &str = "ACTOR";
/// What sidecars fill in.
const TEMPLATES: [&str; 4] = ["{uuid}", "{podName}", "{namespace}", "{appID}"];
/// Says that the component comes with a container of its own.
const CONTAINER: &str = "dapr.io/component-container";

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    let Some(component) = decode::<Component>(object) else {
        return;
    };
    let references = component
        .spec
        .metadata
        .iter()
        .filter_map(NameValuePair::secret);
    pairs::ask(questions, component.secret_store(), references);
    questions.actor_stores = holds_actors(&component);
}

/// The component, if actors may keep their state in it.
pub(super) fn actor_store(component: &Component) -> Option<ActorStore> {
    holds_actors(component).then(|| ActorStore {
        name: component.metadata.name.clone().unwrap_or_default(),
        scopes: component.scopes.clone(),
    })
}

fn holds_actors(component: &Component) -> bool {
    let mut settings = component.spec.metadata.iter();
    component.spec.type_.to_lowercase().starts_with("state.")
        && settings.any(|pair| pair.name.eq_ignore_ascii_case(ACTOR_STORE) && truthy(&pair.text()))
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(component) = subject.decode::<Component>() else {
        return;
    };
    let settings = &component.spec.metadata;
    let findings = &mut subject.findings;
    pairs::names(findings, (LIST, settings), str::to_lowercase);
    init_timeout(findings, component.spec.init_timeout.as_deref());
    if let Some(known) = type_of(findings, &component) {
        let shared = CATALOGUE
            .block(&known.type_name)
            .map_or(&[][..], |block| &block.fields);
        let fields: Vec<&Field> = known.fields.iter().chain(shared).collect();
        keys(findings, (known, &fields), settings);
        missing(findings, &fields, settings);
        for pair in settings {
            if let Some(field) = fields.iter().find(|field| field.answers_to(&pair.name)) {
                value(findings, field, pair);
            }
        }
        if holds_actors(&component) && !known.can(ACTOR) {
            findings.error(format!("{LIST}[{ACTOR_STORE}]"), || {
                format!(
                    "has no effect: {} cannot hold actors, it lacks etags or transactions",
                    known.type_name
                )
            });
        }
    }
    subject.pairs(component.secret_store(), LIST, settings);
    subject.secret_store("auth.secretStore", component.secret_store());
    other_actor_stores(subject, &component);
}

/// The duration that upstream silently replaces by its default where it cannot read it.
fn init_timeout(findings: &mut Findings, text: Option<&str>) {
    let Some(text) = text else { return };
    match parse_duration(text) {
        Ok(time) if !time.is_zero() => {}
        Ok(_) => findings.error("spec.initTimeout", || "is zero: 5s is used".to_owned()),
        Err(error) => findings.error("spec.initTimeout", || format!("{error}: 5s is used")),
    }
}

/// What is known of the component's type.
fn type_of<'a>(findings: &mut Findings, component: &Component) -> Option<&'a Known> {
    let (name, version) = (&component.spec.type_, &component.spec.version);
    match CATALOGUE.find(name, version) {
        Lookup::Known(known) => return Some(known),
        Lookup::OtherVersions(versions) => findings.error("spec.version", || {
            format!(
                "{version:?} is no version of {name}: it has {}",
                versions.join(", ")
            )
        }),
        Lookup::Absent => findings.error("spec.type", || {
            format!("{name} is known to Dapr, but not in this version of Trilby")
        }),
        Lookup::Unknown if is_pluggable(component) => {}
        Lookup::Unknown => findings.notice("spec.type", || {
            let nearest = suggestion(&CATALOGUE.nearest(name));
            format!(
                "{name} is no known type{nearest}; it works only if it is a pluggable component"
            )
        }),
        Lookup::NoBlock => findings.error("spec.type", || {
            let prefixes = CATALOGUE
                .blocks
                .iter()
                .map(|block| format!("{}.", block.prefix));
            format!(
                "{name} has to start with one of {}",
                prefixes.collect::<Vec<_>>().join(" ")
            )
        }),
    }
    None
}

fn is_pluggable(component: &Component) -> bool {
    let annotations = component.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(CONTAINER))
}

/// `; did you mean x or y?`, where there is something to say.
pub(super) fn suggestion<T: AsRef<str>>(nearest: &[T]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = nearest.iter().map(T::as_ref).collect();
    format!(", did you mean {}?", names.join(" or "))
}

/// Settings that the type does not have.
fn keys(findings: &mut Findings, (known, fields): (&Known, &[&Field]), settings: &[NameValuePair]) {
    if known.open {
        return;
    }
    for pair in settings.iter().filter(|pair| !pair.name.is_empty()) {
        if fields.iter().any(|field| field.answers_to(&pair.name)) {
            continue;
        }
        findings.error(pairs::path(LIST, pair), || {
            let names = fields.iter().flat_map(|field| field.names());
            let nearest = suggestion(&nearest(&pair.name, names));
            format!(
                "has no effect: {} has no such setting{nearest}",
                known.type_name
            )
        });
    }
}

/// Settings without which the component does not start.
fn missing(findings: &mut Findings, fields: &[&Field], settings: &[NameValuePair]) {
    for field in fields.iter().filter(|field| field.required) {
        let given = settings
            .iter()
            .any(|pair| field.answers_to(&pair.name) && has_source(pair));
        if !given {
            findings.error(format!("{LIST}[{}]", field.name), || {
                "is missing: the component does not start without it".to_owned()
            });
        }
    }
}

fn has_source(pair: &NameValuePair) -> bool {
    pair.secret().is_some() || pair.env_ref.is_some() || !pair.text().is_empty()
}

/// A value that stands in the resource itself. Those of templates and secrets are known to the sidecar only.
fn value(findings: &mut Findings, field: &Field, pair: &NameValuePair) {
    let text = pair.text();
    let path = || pairs::path(LIST, pair);
    let is_template = TEMPLATES.iter().any(|template| text.contains(template));
    let elsewhere = text.is_empty() || is_template || pair.secret().is_some();
    match field.effect {
        Effect::Full => {}
        Effect::None => findings.notice(path(), || "has no effect here".to_owned()),
        Effect::Refused if asks(field, pair) => findings.error(path(), || {
            "is not there yet in this version of Trilby: the component is refused".to_owned()
        }),
        Effect::Refused => return,
    }
    if elsewhere {
        return;
    }
    if let Err(expected) = field.kind.check(&text) {
        findings.error(path(), || format!("has a value that is not {expected}"));
    }
    if field.kind == Kind::Boolean && !truthy(&text) && !is_no(&text) {
        findings.error(path(), || {
            "has a value that is neither yes nor no: it is read as false".to_owned()
        });
    }
}

/// Whether a setting that is not there yet is asked for.
fn asks(field: &Field, pair: &NameValuePair) -> bool {
    match field.kind {
        Kind::Boolean => truthy(&pair.text()),
        _ => has_source(pair),
    }
}

fn is_no(text: &str) -> bool {
    let is = |word: &&str| text.trim().eq_ignore_ascii_case(word);
    ["n", "no", "false", "f", "off", "0"].iter().any(is)
}

/// Two stores for the actors of one app: which one counts is left to chance.
fn other_actor_stores(subject: &mut Subject<'_>, component: &Component) {
    let Some(own) = actor_store(component) else {
        return;
    };
    let others = subject.facts.actor_stores.iter();
    let others: Vec<&str> = others
        .filter(|other| other.name != own.name && share_an_app(other, &own))
        .map(|other| other.name.as_str())
        .collect();
    if let [first, ..] = others[..] {
        subject
            .findings
            .error(format!("{LIST}[{ACTOR_STORE}]"), || {
                format!(
                    "the Component {first:?} is the actors' state store as well: apps may have one"
                )
            });
    }
}

fn share_an_app(one: &ActorStore, other: &ActorStore) -> bool {
    let all = one.scopes.is_empty() || other.scopes.is_empty();
    all || one
        .scopes
        .iter()
        .any(|app_id| other.scopes.contains(app_id))
}
