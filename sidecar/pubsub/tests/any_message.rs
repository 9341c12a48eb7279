//! What publishers control, of any shape: nothing panics, and what is accepted keeps its meaning.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use trilby_components::{RequestMetadata, pubsub::Message};
use trilby_pubsub::{
    Event,
    publish::{Publication, envelope},
    route::Routes,
};

/// Rules that do with an event whatever rules can do.
const RULES: &[&str] = &[
    "event.type == event.id",
    "timestamp(event.time).getFullYear() > 2000",
    "timestamp(event.time).getHours(event.subject) == 1",
    "timestamp(event.time) - timestamp(event.id) < duration('1h')",
    "timestamp(event.time) + duration(event.subject) > timestamp(event.time)",
    "duration(event.subject) * 2 == duration('1s')",
    "duration(event.subject).getHours() == 1",
    "int(event.data) + int(event.data) == 0",
    "int(event.data) * int(event.data) == 0",
    "-int(event.data) == 0",
    "int(event.data) % int(event.id) == 0",
    "int(event.data) / -1 == 0",
    "uint(event.data) - uint(event.id) == 0u",
    "event.data % 2 == 0",
    "event.data[int(event.id)] == 1",
    "event.data.a.b[0] == null",
    "event.data.exists(x, event.data.all(y, x == y))",
    "event.data.map(x, size(x)) == [1]",
    "event.data == event",
    "event.data < event.id || event.data > 1",
    "string(event.data) == bytes(event.id) || true",
    "size(event.data) == size(string(event.data))",
    "event.data in event.data",
    "event.id.matches(event.data)",
    "event.id.contains(event.data) && event.id.startsWith(event.type)",
    "has(event.data.a) ? event.data.a : event.data.b",
    "type(event.data) == type(1.0)",
    "double(event.id) > 0.0 && bool(event.id)",
    "{event.id: event.data}[event.id] == event.data",
];

fn json(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1}|.{0,3}", inner, 0..4)
                .prop_map(|members| Value::from(serde_json::Map::from_iter(members))),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "-?[0-9]{1,20}",
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:00:00(Z|[+-][0-9]{2}:00)",
        "-?[0-9]{1,19}(ns|us|ms|s|m|h)",
        "(UTC|Europe/Berlin|[+-][0-9]{1,2}:[0-9]{1,2})",
    ]
}

/// An event with the fields that rules name, of any kind each.
fn event() -> impl Strategy<Value = Value> {
    let names = [
        "id",
        "type",
        "time",
        "subject",
        "data",
        "data_base64",
        "datacontenttype",
        "traceid",
        "expiration",
    ];
    let fields = names.map(|name| {
        prop::option::of(prop_oneof![text().prop_map(Value::from), json(3)])
            .prop_map(move |value| (name, value))
    });
    Vec::from(fields).prop_map(|fields| {
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect())
    })
}

fn message(data: Vec<u8>, content_type: Option<&str>) -> Message {
    Message {
        topic: "t".to_owned(),
        data: data.into(),
        content_type: content_type.map(str::to_owned),
        metadata: RequestMetadata::from([("ce_id".to_owned(), "1".to_owned())]),
    }
}

/// Looks at everything of an event.
fn look(event: &Event) {
    for text in [
        event.id(),
        event.source(),
        event.event_type(),
        event.spec_version(),
        event.data_content_type(),
    ] {
        drop(text);
    }
    drop((
        event.data(),
        event.extensions(),
        event.trace_parent(),
        event.trace_state(),
        event.http_body(),
        event.is_expired(Timestamp::UNIX_EPOCH),
    ));
    serde_json::from_slice::<&serde_json::value::RawValue>(&event.bulk_item()).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_an_error(data in prop::collection::vec(any::<u8>(), 0..64), raw: bool, binary: bool) {
        let message = message(data.clone(), binary.then_some("application/octet-stream"));
        if let Ok(event) = Event::of(&message, raw, ("bus", "orders")) {
            look(&event);
            prop_assert!(raw || event.http_body() == data);
            if raw || binary {
                prop_assert_eq!(event.data().unwrap(), data);
            }
        }
    }

    #[test]
    fn any_event_is_an_event(event in event()) {
        let data = serde_json::to_vec(&event).unwrap();
        let read = Event::of(&message(data, None), false, ("bus", "orders")).unwrap();
        look(&read);
        prop_assert_eq!(read.id(), event["id"].as_str().unwrap_or_default());
        for rule in RULES {
            let routes = Routes::compile(&[(rule, "/")], None).unwrap();
            drop(routes.choose(&read));
        }
    }

    #[test]
    fn what_is_published_is_what_is_delivered(
        data in prop_oneof![prop::collection::vec(any::<u8>(), 0..64), ".{0,32}".prop_map(String::into_bytes)],
        content_type in prop_oneof![Just(""), Just("text/plain"), Just("image/png"), Just("application/octet-stream"),
            Just("application/x-protobuf"), Just("application/vnd.a+json")],
    ) {
        let published = published(&data, content_type);
        let event = Event::of(&message(published.to_vec(), None), false, ("bus", "orders")).unwrap();
        prop_assert_eq!(event.data().unwrap(), data);
    }

    #[test]
    fn json_that_is_published_is_what_is_delivered(value in json(4)) {
        let data = serde_json::to_vec(&value).unwrap();
        let event = Event::of(&message(published(&data, "application/json").to_vec(), None), false, ("bus", "orders")).unwrap();
        prop_assert_eq!(event.data().unwrap(), data);
    }

    #[test]
    fn any_rule_is_a_rule_or_an_error(rule in "(event|[a-z]|[0-9]|[.()\\[\\]!&|?:,'\"+*/<>=-]| |\\PC){0,40}") {
        let event = Event::of(&message(b"{\"id\":\"1\"}".to_vec(), None), false, ("bus", "orders")).unwrap();
        if let Ok(routes) = Routes::compile(&[(&rule, "/")], None) {
            drop(routes.choose(&event));
        }
    }
}

fn published(data: &[u8], content_type: &str) -> Bytes {
    envelope(&Publication {
        source: "app",
        pubsub: "bus",
        topic: "orders",
        data: Bytes::copy_from_slice(data),
        content_type,
        metadata: &RequestMetadata::new(),
        raw: false,
        trace_parent: "",
        trace_state: "",
        broker_expires: false,
        now: Timestamp::UNIX_EPOCH,
    })
    .unwrap()
}
