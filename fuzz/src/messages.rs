//! What publishers and subscribers say.

use std::collections::HashSet;

use serde_json::value::RawValue;
use trilby_components::{RequestMetadata, pubsub::Message};
use trilby_pubsub::{Event, bulk, route::Routes, subscription};

use crate::text;

/// A bulk publication: every entry of one that is accepted has an id of its own.
pub(crate) fn bulk_publication(data: &[u8]) {
    let Ok(entries) = bulk::parse_entries(data, &RequestMetadata::new()) else {
        return;
    };
    let ids: HashSet<&str> = entries.iter().map(|entry| &*entry.entry_id).collect();
    assert_eq!(ids.len(), entries.len());
    assert!(!ids.contains(""));
}

/// A message, in each way that it may be meant: whatever is delivered of it is well formed.
pub(crate) fn incoming_event(data: &[u8]) {
    let routes = Routes::compile(
        &[("event.data.a > 1", "/a"), ("size(event) > 3", "/b")],
        None,
    )
    .expect("the rules are rules");
    for (raw, content_type) in [
        (false, None),
        (false, Some("application/octet-stream")),
        (true, None),
    ] {
        let message = Message {
            data: data.to_vec().into(),
            content_type: content_type.map(str::to_owned),
            ..Message::default()
        };
        let Ok(event) = Event::of(&message, raw, ("bus", "orders")) else {
            assert!(!raw && content_type.is_none(), "bytes are always taken");
            continue;
        };
        serde_json::from_slice::<&RawValue>(&event.bulk_item()).expect("an item is JSON");
        if raw {
            serde_json::from_slice::<&RawValue>(&event.http_body()).expect("an event is JSON");
        } else {
            assert_eq!(event.http_body(), data);
        }
        assert_eq!(event.extensions().fields.get("data"), None);
        drop((event.data(), event.trace_parent(), routes.choose(&event)));
    }
}

/// A rule on the first line, an event after it.
pub(crate) fn route_rule(data: &[u8]) {
    let Some((rule, event)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    let Ok(routes) = Routes::compile(&[(rule, "/")], None) else {
        return;
    };
    let message = Message {
        data: event.to_owned().into(),
        ..Message::default()
    };
    if let Ok(event) = Event::of(&message, false, ("bus", "orders")) {
        drop(routes.choose(&event));
    }
}

/// What an app says that it subscribes to: what is accepted has a component, a topic and a path.
pub(crate) fn subscriptions(data: &[u8]) {
    let Ok((subscriptions, _)) = subscription::of_http(data) else {
        return;
    };
    let (merged, _) = subscription::merge(Vec::new(), subscriptions);
    let topics: HashSet<_> = merged.iter().map(|one| (&one.pubsub, &one.topic)).collect();
    assert_eq!(topics.len(), merged.len());
    for one in &merged {
        assert!(!one.pubsub.is_empty() && !one.topic.is_empty() && !one.routes.paths().is_empty());
    }
}
