//! Kubernetes Events on transitions. Which there are is pure.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::api::ObjectMeta;
use trilby_crds::{ConditionType, GROUP, ResourceStatus, Truth};

use crate::reports::{Id, Known};

/// Who says it.
const REPORTER: &str = "dapr.io/operator";
/// Characters that a note may have, by the API server's rule; kept in bytes.
const LONGEST_NOTE: usize = 1024;

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
        let event_type = match (before, after.status) {
            (Some(Truth::False), Truth::True) => "Normal",
            (Some(Truth::False), _) => continue,
            (_, Truth::False) => "Warning",
            _ => continue,
        };
        events.push(Event {
            type_: Some(event_type.to_owned()),
            reason: Some(format!("{:?}", after.reason)),
            note: Some(cut(&after.message).to_owned()),
            ..event(id, resource)
        });
    }
    events
}

fn event((kind, key): &Id, resource: &Known) -> Event {
    let namespace = key.namespace.to_string();
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", key.name)),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Load".to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        regarding: Some(ObjectReference {
            api_version: Some(format!("{GROUP}/{}", kind.version())),
            kind: Some(kind.name().to_owned()),
            name: Some(key.name.to_string()),
            namespace: Some(namespace),
            uid: Some(resource.version.uid.to_string()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(trilby_bootstrap::net::hostname()),
        ..Event::default()
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST_NOTE)]
}
