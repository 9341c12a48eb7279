//! What an app subscribes to, from resources and from what it answers when it is asked.

use std::{collections::HashMap, time::Duration};

use trilby_components::RequestMetadata;
use trilby_crds::{BulkSubscribeSpec, SubscriptionSpec};

use crate::{
    InvalidRawPayload, is_raw,
    route::{InvalidRule, Routes},
};

mod programmatic;

pub use programmatic::{Unreadable, of_grpc, of_http};

/// The most messages of a delivery where the subscription does not say.
const BULK_MESSAGES: usize = 100;
/// How long a delivery waits for more messages where the subscription does not say.
const BULK_WAIT: Duration = Duration::from_millis(1000);

/// A topic that the app wants, ready to be used.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The name of the component.
    pub pubsub: String,
    /// The topic as the app knows it.
    pub topic: String,
    /// What the subscription says for the broker.
    pub metadata: RequestMetadata,
    /// Where its events go.
    pub routes: Routes,
    /// The topic for what the app does not take, on the same component.
    pub dead_letter: Option<String>,
    /// Several messages at once.
    pub bulk: Option<Bulk>,
    /// Messages are data of which nothing is known.
    pub raw: bool,
}

/// Several messages at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulk {
    /// The most messages of one delivery.
    pub max_messages: usize,
    /// How long the first waits for more.
    pub max_wait: Duration,
}

/// What is wrong with one subscription, which is not used. The others are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Refused {
    /// Which one: the name of the resource, or its place in the app's answer.
    pub place: String,
    /// Why.
    pub reason: Reason,
}

/// Why a subscription is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A field that has to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is not what it should be.
    #[error("{field}: {problem}")]
    Field {
        /// Which one.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// It has no path, so every message would be lost.
    #[error("topic {0} has no route")]
    NoRoute(String),
    /// A rule is no expression.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// `rawPayload` is no boolean.
    #[error("metadata: {0}")]
    Raw(#[from] InvalidRawPayload),
    /// Another one to the same topic of the same component is used.
    #[error("another subscription to topic {topic} of {pubsub} is used instead")]
    Duplicate {
        /// The component.
        pubsub: String,
        /// The topic.
        topic: String,
    },
}

/// A subscription as it is written, whoever wrote it.
#[derive(Debug, Clone, Default)]
struct Written {
    pubsub: String,
    topic: String,
    metadata: RequestMetadata,
    rules: Vec<(String, String)>,
    default: Option<String>,
    dead_letter: String,
    bulk: Option<(i32, i32)>,
}

/// The subscription of a resource, in its newer version.
///
/// # Errors
/// It cannot be used; the text is for a log that names the resource.
pub fn of_resource(spec: &SubscriptionSpec) -> Result<Subscription, Reason> {
    let rules = spec.routes.rules.iter();
    let bulk = spec.bulk_subscribe.as_ref().filter(|bulk| bulk.enabled);
    let bounds = |bulk: &BulkSubscribeSpec| {
        (
            bulk.max_messages_count.unwrap_or_default(),
            bulk.max_await_duration_ms.unwrap_or_default(),
        )
    };
    ready(Written {
        pubsub: spec.pubsub_name.clone(),
        topic: spec.topic.clone(),
        metadata: spec.metadata.clone(),
        rules: rules
            .map(|rule| (rule.condition.clone(), rule.path.clone()))
            .collect(),
        default: spec.routes.default.clone(),
        dead_letter: spec.dead_letter_topic.clone().unwrap_or_default(),
        bulk: bulk.map(bounds),
    })
}

/// The subscription of a stream that the app opened: its events have one path.
///
/// # Errors
/// `rawPayload` is no boolean, or a name is missing.
pub fn of_stream(
    pubsub: &str,
    topic: &str,
    metadata: RequestMetadata,
    dead_letter: &str,
) -> Result<Subscription, Reason> {
    ready(Written {
        pubsub: pubsub.to_owned(),
        topic: topic.to_owned(),
        metadata,
        default: Some("/".to_owned()),
        dead_letter: dead_letter.to_owned(),
        ..Written::default()
    })
}

/// One subscription for each topic of a component: what the app answers replaces resources, of which the first counts;
/// of the app's own the last. Each comes in the place of the first of its topic.
#[must_use]
pub fn merge(
    declared: Vec<(String, Subscription)>,
    programmatic: Vec<Subscription>,
) -> (Vec<Subscription>, Vec<Refused>) {
    let mut merged: Vec<(String, Subscription)> = Vec::new();
    let mut taken: HashMap<(String, String), usize> = HashMap::new();
    let mut refused = Vec::new();
    let answered = programmatic.into_iter().enumerate();
    let answered = answered.map(|(index, subscription)| (place(index), subscription, true));
    let declared = declared.into_iter();
    let declared = declared.map(|(name, subscription)| (name, subscription, false));
    for (place, subscription, replaces) in declared.chain(answered) {
        let key = (subscription.pubsub.clone(), subscription.topic.clone());
        let Some(&index) = taken.get(&key) else {
            taken.insert(key, merged.len());
            merged.push((place, subscription));
            continue;
        };
        let loser = if replaces {
            std::mem::replace(&mut merged[index], (place, subscription)).0
        } else {
            place
        };
        let (pubsub, topic) = key;
        refused.push(Refused {
            place: loser,
            reason: Reason::Duplicate { pubsub, topic },
        });
    }
    let merged = merged.into_iter().map(|(_, subscription)| subscription);
    (merged.collect(), refused)
}

fn place(index: usize) -> String {
    format!("subscription {index} of the app")
}

fn ready(written: Written) -> Result<Subscription, Reason> {
    for (field, text) in [("pubsubname", &written.pubsub), ("topic", &written.topic)] {
        if text.is_empty() {
            return Err(Reason::Missing(field));
        }
    }
    if written.rules.is_empty() && written.default.is_none() {
        return Err(Reason::NoRoute(written.topic));
    }
    let rules = written.rules.iter();
    let rules: Vec<_> = rules
        .map(|(rule, path)| (rule.as_str(), path.as_str()))
        .collect();
    Ok(Subscription {
        routes: Routes::compile(&rules, written.default.as_deref())?,
        raw: is_raw(&written.metadata)?,
        pubsub: written.pubsub,
        topic: written.topic,
        metadata: written.metadata,
        dead_letter: Some(written.dead_letter).filter(|topic| !topic.is_empty()),
        bulk: written.bulk.map(bulk),
    })
}

/// Numbers that are not above zero leave it to the defaults.
fn bulk((messages, milliseconds): (i32, i32)) -> Bulk {
    let messages = usize::try_from(messages)
        .ok()
        .filter(|messages| *messages > 0);
    let milliseconds = u64::try_from(milliseconds).ok().filter(|wait| *wait > 0);
    Bulk {
        max_messages: messages.unwrap_or(BULK_MESSAGES),
        max_wait: milliseconds.map_or(BULK_WAIT, Duration::from_millis),
    }
}

#[cfg(test)]
mod tests;
