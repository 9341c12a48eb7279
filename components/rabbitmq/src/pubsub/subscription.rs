//! What a subscription needs at the broker: names and arguments as upstream's, to the byte.

use std::collections::BTreeMap;

use lapin::{
    ExchangeKind,
    types::{AMQPValue, FieldTable, ShortString},
};
use trilby_components::{RequestMetadata, pubsub::SubscribeRequest};
use trilby_go_syntax::truthy;

use super::{Config, routing_key};
use crate::topology::{Exchange, Queue, Step, argue, name};

/// A queue to consume, and what is declared before.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) queue: ShortString,
    pub(super) steps: Vec<Step>,
}

/// What a subscription needs.
///
/// # Errors
/// It asks for something that cannot be; its key is named.
pub(super) fn plan(config: &Config, request: &SubscribeRequest) -> Result<Plan, String> {
    let topic = name("the topic", &*request.topic)?;
    let queue = match said(&request.metadata, "queueName") {
        Some(queue) => queue.to_owned(),
        None => format!("{}-{}", config.consumer, request.topic),
    };
    let mut steps = vec![Step::Exchange(config.exchange(topic.clone()))];
    let mut arguments = FieldTable::default();
    if config.dead_letters {
        let exchange = name("the exchange of dead letters", format!("dlx-{queue}"))?;
        argue(
            &mut arguments,
            "x-dead-letter-exchange",
            AMQPValue::LongString(exchange.as_str().into()),
        );
        steps.extend(dead_letters(config, exchange, &queue)?);
    }
    let queue = name("the queue", queue)?;
    steps.push(Step::Queue(Queue {
        name: queue.clone(),
        durable: config.durable,
        auto_delete: config.auto_delete,
        exclusive: false,
        arguments: queue_arguments(config, &request.metadata, arguments)?,
    }));
    for key in routing_key(&request.metadata).split(',') {
        steps.push(Step::Bind {
            queue: queue.clone(),
            exchange: topic.clone(),
            key: name("routingKey", key)?,
        });
    }
    Ok(Plan { queue, steps })
}

/// Where the messages of `queue` go that were not taken.
fn dead_letters(config: &Config, exchange: ShortString, queue: &str) -> Result<[Step; 3], String> {
    let letters = name("the queue of dead letters", format!("dlq-{queue}"))?;
    let mut arguments = FieldTable::default();
    limit(&mut arguments, config.most_messages, config.most_bytes);
    argue(
        &mut arguments,
        "x-queue-mode",
        AMQPValue::LongString("lazy".into()),
    );
    Ok([
        Step::Exchange(Exchange {
            name: exchange.clone(),
            kind: ExchangeKind::Fanout,
            durable: true,
            auto_delete: config.auto_delete,
        }),
        Step::Queue(Queue {
            name: letters.clone(),
            durable: true,
            auto_delete: config.auto_delete,
            exclusive: false,
            arguments,
        }),
        Step::Bind {
            queue: letters,
            exchange,
            key: ShortString::default(),
        },
    ])
}

fn queue_arguments(
    config: &Config,
    metadata: &RequestMetadata,
    mut arguments: FieldTable,
) -> Result<FieldTable, String> {
    let messages = number(metadata, "maxLen")?.or(config.most_messages);
    let bytes = number(metadata, "maxLenBytes")?.or(config.most_bytes);
    limit(&mut arguments, messages, bytes);
    if let Some(most) = number(metadata, "maxPriority")? {
        let most = u8::try_from(most).unwrap_or(u8::MAX);
        argue(
            &mut arguments,
            "x-max-priority",
            AMQPValue::ShortShortUInt(most),
        );
    }
    let kind = match said(metadata, "queueType").unwrap_or("classic") {
        kind @ ("classic" | "quorum") => kind,
        other => {
            return Err(format!(
                "queueType is neither classic nor quorum: {other:?}"
            ));
        }
    };
    argue(
        &mut arguments,
        "x-queue-type",
        AMQPValue::LongString(kind.into()),
    );
    if said(metadata, "singleActiveConsumer").is_some_and(truthy) {
        let key = "x-single-active-consumer";
        argue(&mut arguments, key, AMQPValue::Boolean(true));
    }
    Ok(arguments)
}

fn limit(arguments: &mut FieldTable, messages: Option<i64>, bytes: Option<i64>) {
    let limits = BTreeMap::from([("x-max-length", messages), ("x-max-length-bytes", bytes)]);
    for (key, most) in limits {
        if let Some(most) = most {
            argue(arguments, key, AMQPValue::LongLongInt(most));
        }
    }
}

fn said<'a>(metadata: &'a RequestMetadata, key: &str) -> Option<&'a str> {
    let value = metadata.get(key).map(String::as_str);
    value.filter(|value| !value.is_empty())
}

fn number(metadata: &RequestMetadata, key: &str) -> Result<Option<i64>, String> {
    let parsed = said(metadata, key).map(|text| match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(format!("{key} is no number from 0 up: {text:?}")),
    });
    parsed.transpose()
}

#[cfg(test)]
mod tests;
