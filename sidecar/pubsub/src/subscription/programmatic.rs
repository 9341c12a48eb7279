//! What the app answers when it is asked for its subscriptions.

use serde::Deserialize as _;
use trilby_proto::runtime::v1::{ListTopicSubscriptionsResponse, TopicSubscription};

use super::{Reason, Refused, Subscription, Written, place, ready};
use crate::json::{self, Members};

/// The app's answer as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the app's subscriptions cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Those of the app's answer that can be used, and what is wrong with the others.
type Subscriptions = (Vec<Subscription>, Vec<Refused>);

/// The subscriptions in the body of the answer to `GET /dapr/subscribe`. Names of fields are read in any case.
///
/// # Errors
/// The body is no JSON array of objects.
pub fn of_http(body: &[u8]) -> Result<Subscriptions, Unreadable> {
    let text = json::lossy(body);
    if text.trim_ascii().is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // What stands behind the array does not count.
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let items = Option::<Vec<Option<Members<'_>>>>::deserialize(&mut deserializer);
    let items = items.map_err(|error| Unreadable(error.to_string()))?;
    let items = items.unwrap_or_default().into_iter();
    Ok(sorted(
        items.map(|members| written(&members.unwrap_or_default())),
    ))
}

/// The subscriptions of an answer over gRPC. One without routes has an empty path.
#[must_use]
pub fn of_grpc(answer: ListTopicSubscriptionsResponse) -> Subscriptions {
    sorted(
        answer
            .subscriptions
            .into_iter()
            .map(|item| Ok(listed(item))),
    )
}

fn sorted(items: impl Iterator<Item = Result<Written, Reason>>) -> Subscriptions {
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for (index, item) in items.enumerate() {
        match item.and_then(ready) {
            Ok(subscription) => usable.push(subscription),
            Err(reason) => refused.push(Refused {
                place: place(index),
                reason,
            }),
        }
    }
    (usable, refused)
}

fn listed(item: TopicSubscription) -> Written {
    let routes = item.routes.unwrap_or_default();
    let rules = routes
        .rules
        .into_iter()
        .map(|rule| (rule.r#match, rule.path));
    let rules: Vec<_> = rules.collect();
    let default = Some(routes.default).filter(|path| !path.is_empty() || rules.is_empty());
    let bulk = item.bulk_subscribe.filter(|bulk| bulk.enabled);
    Written {
        pubsub: item.pubsub_name,
        topic: item.topic,
        metadata: item.metadata.into_iter().collect(),
        rules,
        default,
        dead_letter: item.dead_letter_topic,
        bulk: bulk.map(|bulk| (bulk.max_messages_count, bulk.max_await_duration_ms)),
    }
}

fn written(members: &Members<'_>) -> Result<Written, Reason> {
    let routes: Members<'_> = parsed(members, "routes", "an object")?.unwrap_or_default();
    let rules: Vec<Members<'_>> =
        parsed(&routes, "rules", "an array of objects")?.unwrap_or_default();
    let rules = rules
        .iter()
        .map(|rule| Ok((text(rule, "match")?, text(rule, "path")?)));
    let metadata: Option<std::collections::BTreeMap<json::Text, Option<json::Text>>> =
        parsed(members, "metadata", "an object of strings")?;
    let metadata = metadata.unwrap_or_default().into_iter();
    let metadata =
        metadata.map(|(name, value)| (name.0, value.map_or_else(String::new, |text| text.0)));
    let default = [text(&routes, "default")?, text(members, "route")?];
    Ok(Written {
        pubsub: text(members, "pubsubname")?,
        topic: text(members, "topic")?,
        metadata: metadata.collect(),
        rules: rules.collect::<Result<_, Reason>>()?,
        default: default.into_iter().find(|path| !path.is_empty()),
        dead_letter: text(members, "deadLetterTopic")?,
        bulk: bulk(members)?,
    })
}

fn bulk(members: &Members<'_>) -> Result<Option<(i32, i32)>, Reason> {
    let bulk: Members<'_> = parsed(members, "bulkSubscribe", "an object")?.unwrap_or_default();
    let enabled: Option<bool> = parsed(&bulk, "enabled", "a boolean")?;
    let messages: Option<i32> = parsed(&bulk, "maxMessagesCount", "a number of 32 bits")?;
    let wait: Option<i32> = parsed(&bulk, "maxAwaitDurationMs", "a number of 32 bits")?;
    let bounds = (messages.unwrap_or_default(), wait.unwrap_or_default());
    Ok(enabled.unwrap_or_default().then_some(bounds))
}

fn text(members: &Members<'_>, name: &str) -> Result<String, Reason> {
    let text: Option<json::Text> = parsed(members, name, "a string")?;
    Ok(text.map_or_else(String::new, |text| text.0))
}

/// A member of a type; `None` if it is missing or null.
fn parsed<'a, T: serde::Deserialize<'a>>(
    members: &Members<'a>,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Reason> {
    let Some(raw) = json::member(members, name) else {
        return Ok(None);
    };
    serde_json::from_str(raw.get()).map_err(|error| Reason::Field {
        field: name.to_owned(),
        problem: format!("must be {expected}: {error}"),
    })
}
