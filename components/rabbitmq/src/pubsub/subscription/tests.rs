use lapin::{
    ExchangeKind,
    types::{AMQPValue, FieldTable},
};
use trilby_components::{metadata::Metadata, pubsub::SubscribeRequest, registry::ComponentContext};

use super::{super::settings::Config, Plan, plan};
use crate::topology::{Exchange, Queue, Step};

fn planned(component: &[(&str, &str)], subscription: &[(&str, &str)]) -> Result<Plan, String> {
    let context = ComponentContext {
        app_id: "app".to_owned(),
        ..ComponentContext::default()
    };
    let metadata = Metadata::new(component.iter().copied()).unwrap();
    let (config, _) = Config::new(&context, &metadata).unwrap();
    let pairs = subscription.iter();
    let request = SubscribeRequest {
        topic: "orders".to_owned(),
        metadata: pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..SubscribeRequest::default()
    };
    plan(&config, &request)
}

fn arguments(pairs: &[(&'static str, AMQPValue)]) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (key, value) in pairs {
        arguments.insert((*key).into(), value.clone());
    }
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// The arguments of the queue that is consumed.
fn of_queue(component: &[(&str, &str)], subscription: &[(&str, &str)]) -> FieldTable {
    let plan = planned(component, subscription).unwrap();
    let mut steps = plan.steps.into_iter();
    let queue = steps.find_map(|step| match step {
        Step::Queue(queue) if queue.name == plan.queue => Some(queue.arguments),
        _ => None,
    });
    queue.unwrap()
}

#[test]
fn a_subscription_is_a_queue_named_for_its_consumer() {
    let expected = Plan {
        queue: "app-orders".into(),
        steps: vec![
            Step::Exchange(Exchange {
                name: "orders".into(),
                kind: ExchangeKind::Fanout,
                durable: true,
                auto_delete: true,
            }),
            Step::Queue(Queue {
                name: "app-orders".into(),
                durable: true,
                auto_delete: true,
                exclusive: false,
                arguments: arguments(&[("x-queue-type", text("classic"))]),
            }),
            Step::Bind {
                queue: "app-orders".into(),
                exchange: "orders".into(),
                key: "".into(),
            },
        ],
    };
    assert_eq!(planned(&[], &[]), Ok(expected));
}

#[test]
fn dead_letters_have_an_exchange_and_a_queue_that_are_always_durable() {
    let component = [
        ("enableDeadLetter", "true"),
        ("durable", "false"),
        ("deletedWhenUnused", "false"),
        ("maxLen", "7"),
    ];
    let plan = planned(&component, &[("queueName", "q")]).unwrap();
    let expected = [
        Step::Exchange(Exchange {
            name: "dlx-q".into(),
            kind: ExchangeKind::Fanout,
            durable: true,
            auto_delete: false,
        }),
        Step::Queue(Queue {
            name: "dlq-q".into(),
            durable: true,
            auto_delete: false,
            exclusive: false,
            arguments: arguments(&[
                ("x-max-length", AMQPValue::LongLongInt(7)),
                ("x-queue-mode", text("lazy")),
            ]),
        }),
        Step::Bind {
            queue: "dlq-q".into(),
            exchange: "dlx-q".into(),
            key: "".into(),
        },
    ];
    assert_eq!(plan.steps[1..4], expected);
    let queue = of_queue(&component, &[("queueName", "q")]);
    let expected = [
        ("x-dead-letter-exchange", text("dlx-q")),
        ("x-max-length", AMQPValue::LongLongInt(7)),
        ("x-queue-type", text("classic")),
    ];
    assert_eq!(queue, arguments(&expected));
}

#[test]
fn a_subscription_chooses_its_queue() {
    let subscription = [
        ("queueType", "quorum"),
        ("maxPriority", "300"),
        ("singleActiveConsumer", "yes"),
        ("maxLen", "5"),
        ("maxLenBytes", "6"),
    ];
    let expected = [
        ("x-queue-type", text("quorum")),
        ("x-max-priority", AMQPValue::ShortShortUInt(255)),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-max-length", AMQPValue::LongLongInt(5)),
        ("x-max-length-bytes", AMQPValue::LongLongInt(6)),
    ];
    let found = of_queue(&[("maxLen", "99")], &subscription);
    assert_eq!(found, arguments(&expected));
}

#[test]
fn every_routing_key_is_a_binding() {
    let plan = planned(&[], &[("routingKey", "a,b.*,")]).unwrap();
    let keys: Vec<String> = plan
        .steps
        .into_iter()
        .filter_map(|step| match step {
            Step::Bind { key, .. } => Some(key.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(keys, ["a", "b.*", ""]);
}

#[test]
fn what_cannot_be_is_named() {
    for (key, value) in [
        ("queueType", "stream"),
        ("maxPriority", "x"),
        ("maxLen", "-1"),
        ("maxLenBytes", "1k"),
    ] {
        let error = planned(&[], &[(key, value)]).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
    let long = "x".repeat(256);
    assert!(planned(&[], &[("queueName", long.as_str())]).is_err());
}
