//! Kubernetes Events on transitions. Which there are is pure.

use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use trilby_crds::{ConditionType, GROUP, ResourceStatus, Truth};
use trilby_events::{News, Tone};

use crate::{
    events::event,
    reports::{Id, Known},
};

/// What to tell of when the status `new` takes the place of the resource's own: that it became false, or that what was
/// false is true. Anything else is no news.
pub(super) fn transitions(id: &Id, resource: &Known, new: &ResourceStatus) -> Vec<Event> {
    let mut events = Vec::new();
    for type_ in [ConditionType::Accepted, ConditionType::Loaded] {
        let before = resource.status.as_ref();
        let before = before.and_then(|status| status.condition(type_));
        let before = before.map(|condition| condition.status);
        let Some(after) = new.condition(type_) else {
            continue;
        };
        let tone = match (before, after.status) {
            (Some(Truth::False), Truth::True) => Tone::Normal,
            (Some(Truth::False), _) => continue,
            (_, Truth::False) => Tone::Warning,
            _ => continue,
        };
        let news = News {
            tone,
            reason: &format!("{:?}", after.reason),
            action: "Load",
            note: &after.message,
        };
        events.push(event(reference(id, resource), news));
    }
    events
}

fn reference((kind, key): &Id, resource: &Known) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/{}", kind.version())),
        kind: Some(kind.name().to_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        uid: Some(resource.version.uid.to_string()),
        ..ObjectReference::default()
    }
}
