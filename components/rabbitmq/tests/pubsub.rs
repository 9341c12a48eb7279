//! `pubsub.rabbitmq` on a real RabbitMQ.

mod broker;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use broker::{Beside, metadata, request};
use lapin::{ExchangeKind, options::ExchangeDeclareOptions, types::FieldTable};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use trilby_components::{
    RequestMetadata,
    conformance::pubsub::{Seen, Subscribed, Traits, run, run_apart, run_as, run_together},
    pubsub::{Feature, Handler, Message, PubSub, PubSubError, SubscribeRequest, Unhandled},
    registry::{ComponentContext, InitError},
};
use trilby_components_rabbitmq::RabbitMqPubSub;
use trilby_testkit::{ca::Authority, servers::rabbitmq::RabbitMq};

/// How long anything may take on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(120);
/// Queues that stay, messages that are kept and confirmed, and a broker that is looked for often.
const KEPT: &[(&str, &str)] = &[
    ("deletedWhenUnused", "false"),
    ("deliveryMode", "2"),
    ("publisherConfirm", "true"),
    ("reconnectWaitSeconds", "200ms"),
];

async fn component(rabbit: &RabbitMq, pairs: &[(&str, &str)]) -> RabbitMqPubSub {
    let connected = try_component(&rabbit.uri(), pairs).await;
    connected.expect("the broker serves")
}

async fn try_component(uri: &str, pairs: &[(&str, &str)]) -> Result<RabbitMqPubSub, InitError> {
    let context = ComponentContext {
        app_id: "app".to_owned(),
        ..ComponentContext::default()
    };
    let metadata = metadata(&[&[("connectionString", uri)], pairs].concat());
    let connecting = RabbitMqPubSub::connect(&context, &metadata);
    timeout(LIMIT, connecting).await.expect("it ends")
}

fn message(topic: &str, data: &str, pairs: &[(&str, &str)]) -> Message {
    Message {
        topic: topic.to_owned(),
        data: data.as_bytes().to_vec().into(),
        metadata: request(pairs),
        ..Message::default()
    }
}

async fn publish(broker: &RabbitMqPubSub, message: Message) -> Result<(), PubSubError> {
    timeout(LIMIT, broker.publish(message))
        .await
        .expect("it ends")
}

/// A subscription with metadata of its own.
struct Subscription {
    stop: CancellationToken,
    task: JoinHandle<Result<(), PubSubError>>,
}

impl Subscription {
    async fn to(
        broker: &RabbitMqPubSub,
        topic: &str,
        metadata: RequestMetadata,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, PubSubError> {
        let stop = CancellationToken::new();
        let request = SubscribeRequest {
            topic: topic.to_owned(),
            metadata,
            batches: None,
            stop: stop.clone(),
        };
        let subscribing = timeout(LIMIT, broker.subscribe(request, handler));
        let task = tokio::spawn(subscribing.await.expect("it ends")?);
        Ok(Self { stop, task })
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = timeout(LIMIT, self.task).await.expect("it ends");
        assert_eq!(ended.expect("it does not panic"), Ok(()));
    }
}

/// Takes nothing, and keeps what it was given.
#[derive(Default)]
struct Refusing(Notify);

#[async_trait]
impl Handler for Refusing {
    async fn handle(&self, _: Message) -> Result<(), Unhandled> {
        self.0.notify_one();
        Err(Unhandled("never".to_owned()))
    }
}

/// Never ends.
#[derive(Default)]
struct Hanging(Notify);

#[async_trait]
impl Handler for Hanging {
    async fn handle(&self, _: Message) -> Result<(), Unhandled> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn it_is_a_broker() {
    let rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, &[]).await;
    assert!(PubSub::features(&broker).contains(&Feature::MessageTtl));
    // What waits goes with its subscription, unless told otherwise.
    let fleeting = Traits {
        ordered: false,
        durable: false,
        ..Traits::default()
    };
    run_as(&broker, "parallel", fleeting).await;
    let kept = [KEPT, &[("concurrency", "single"), ("prefetchCount", "2")]].concat();
    run(&component(&rabbit, &kept).await, "kept").await;
}

#[tokio::test]
async fn replicas_share_and_consumers_do_not() {
    let rabbit = RabbitMq::start().await;
    let [one, other] = [
        component(&rabbit, KEPT).await,
        component(&rabbit, KEPT).await,
    ];
    run_together([&one, &other], "replicas").await;
    let another = component(&rabbit, &[KEPT, &[("consumerID", "another")]].concat()).await;
    run_apart([&one, &another], "consumers").await;
}

#[tokio::test]
async fn publishers_and_subscribers_survive_a_restart_of_the_broker() {
    let mut rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, KEPT).await;
    let subscribed = Subscribed::to(&broker, "orders", Seen::default()).await;
    publish(&broker, message("orders", "before", &[]))
        .await
        .unwrap();
    let seen = Arc::clone(&subscribed.seen);
    seen.until("before", |texts| texts.contains(&"before".into()))
        .await;
    for crash in [false, true] {
        if crash {
            rabbit.crash().await;
        } else {
            rabbit.stop().await;
        }
        let lost = publish(&broker, message("orders", "lost", &[])).await;
        assert!(matches!(lost, Err(PubSubError::Unavailable(_))), "{lost:?}");
        rabbit.resume().await;
        let text = format!("after {crash}");
        publish(&broker, message("orders", &text, &[]))
            .await
            .unwrap();
        seen.until("what came after", |texts| texts.contains(&text))
            .await;
    }
    subscribed.end().await;
    broker.close().await;
}

#[tokio::test]
async fn what_waits_in_a_queue_outlives_its_broker_and_its_subscriber() {
    let mut rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, KEPT).await;
    Subscribed::to(&broker, "t", Seen::default())
        .await
        .end()
        .await;
    publish(&broker, message("t", "kept", &[])).await.unwrap();
    rabbit.crash().await;
    rabbit.resume().await;
    let hanging = Arc::new(Hanging::default());
    let handler = Arc::clone(&hanging) as Arc<dyn Handler>;
    let first = Subscription::to(&broker, "t", request(&[]), handler).await;
    let first = first.unwrap();
    timeout(LIMIT, hanging.0.notified())
        .await
        .expect("it is given");
    first.task.abort(); // what was being handled is not acknowledged
    let second = Subscribed::to(&broker, "t", Seen::default()).await;
    second
        .seen
        .until("it again", |texts| texts == ["kept"])
        .await;
    second.end().await;
}

#[tokio::test]
async fn wrong_credentials_are_a_clear_error_of_the_start() {
    let rabbit = RabbitMq::start().await;
    let uri = format!("amqp://guest:wrong@{}", rabbit.address());
    let error = try_component(&uri, &[]).await.unwrap_err().to_string();
    assert!(error.contains("ACCESS_REFUSED"), "{error}");
    assert!(error.contains(&rabbit.address().to_string()), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    let uri = format!("{}/nowhere", rabbit.uri());
    let error = try_component(&uri, &[]).await.unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
    let nobody = RabbitMq::stopped();
    let error = try_component(&nobody.uri(), &[]).await.unwrap_err();
    assert!(matches!(error, InitError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn what_was_not_taken_is_dropped_only_where_that_is_said() {
    let rabbit = RabbitMq::start().await;
    let beside = Beside::the(&rabbit).await;
    let told = ["requeueInFailure", "enableDeadLetter"];
    let cases = [
        ("unsaid", "", 1),
        ("dropped", "false", 0),
        ("dead", "true", 0),
    ];
    for (topic, said, left) in cases {
        let key = if said == "true" { told[1] } else { told[0] };
        let broker = component(&rabbit, &[KEPT, &[(key, said)]].concat()).await;
        let refusing = Arc::new(Refusing::default());
        let handler = Arc::clone(&refusing) as Arc<dyn Handler>;
        let subscription = Subscription::to(&broker, topic, request(&[]), handler).await;
        publish(&broker, message(topic, "bad", &[])).await.unwrap();
        timeout(LIMIT, refusing.0.notified())
            .await
            .expect("it is given");
        subscription.unwrap().end().await;
        beside.until_waiting(&format!("app-{topic}"), left).await;
        broker.close().await;
    }
    beside.until_waiting("dlq-app-dead", 1).await;
    let (letter, _) = beside.get("dlq-app-dead").await.unwrap();
    assert_eq!(letter, b"bad");
}

#[tokio::test]
async fn a_publication_that_the_broker_does_not_take_is_no_success() {
    let rabbit = RabbitMq::start().await;
    let policy = r#"{"max-length":1,"overflow":"reject-publish"}"#;
    rabbit.control(&["set_policy", "full", ".*", policy]);
    let broker = component(&rabbit, KEPT).await;
    Subscribed::to(&broker, "t", Seen::default())
        .await
        .end()
        .await;
    publish(&broker, message("t", "fits", &[])).await.unwrap();
    let refused = publish(&broker, message("t", "too much", &[])).await;
    assert!(
        matches!(refused, Err(PubSubError::Unavailable(_))),
        "{refused:?}"
    );
    let beside = Beside::the(&rabbit).await;
    assert_eq!(beside.get("app-t").await.unwrap().0, b"fits");
}

#[tokio::test]
async fn a_publication_without_an_answer_is_no_success() {
    let mut rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, KEPT).await;
    let subscribed = Subscribed::to(&broker, "t", Seen::default()).await;
    rabbit.freeze();
    {
        let publishing = broker.publish(message("t", "late", &[]));
        let early = timeout(Duration::from_secs(1), publishing).await;
        assert!(early.is_err(), "nobody confirmed it: {early:?}");
    }
    rabbit.thaw();
    publish(&broker, message("t", "next", &[])).await.unwrap();
    let next = |texts: &[String]| texts.contains(&"next".into());
    subscribed.seen.until("the next", next).await;
    subscribed.end().await;
}

#[tokio::test]
async fn a_topic_that_is_there_otherwise_breaks_nothing_but_itself() {
    let rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, KEPT).await;
    let beside = Beside::the(&rabbit).await;
    let exchange = beside.channel.exchange_declare(
        "other".into(),
        ExchangeKind::Direct,
        ExchangeDeclareOptions::default(),
        FieldTable::default(),
    );
    exchange.await.unwrap();
    let refused = publish(&broker, message("other", "x", &[])).await;
    assert!(
        matches!(refused, Err(PubSubError::Broker(_))),
        "{refused:?}"
    );
    let handler = Arc::new(Refusing::default());
    let refused = Subscription::to(&broker, "other", request(&[]), handler).await;
    let error = refused.err().expect("it is refused").to_string();
    assert!(error.contains("exchange other"), "{error}");
    for topic in 0..32 {
        let topic = format!("t{topic}");
        publish(&broker, message(&topic, "x", &[])).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_publisher_said_of_a_message_reaches_its_subscriber() {
    let rabbit = RabbitMq::start().await;
    let told = [("publishMessagePropertiesToMetadata", "true")];
    let broker = component(&rabbit, &told).await;
    let subscribed = Subscribed::to(&broker, "t", Seen::default()).await;
    let mut sent = message("t", "x", &[("messageID", "m1"), ("type", "kind")]);
    sent.content_type = Some("image/png".to_owned());
    publish(&broker, sent).await.unwrap();
    subscribed.seen.until("it", |texts| texts == ["x"]).await;
    let arrived = subscribed.seen.messages().remove(0);
    assert_eq!(arrived.content_type.as_deref(), Some("image/png"));
    let expected = request(&[
        ("metadata.messageid", "m1"),
        ("metadata.type", "kind"),
        ("metadata.contenttype", "image/png"),
    ]);
    assert_eq!(arrived.metadata, expected);
    subscribed.end().await;
}

#[tokio::test]
async fn messages_expire_and_go_by_priority() {
    let rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, &[KEPT, &[("concurrency", "single")]].concat()).await;
    let beside = Beside::the(&rabbit).await;
    let first = request(&[("maxPriority", "5")]);
    let handler = Arc::new(Seen::default());
    let subscription = Subscription::to(&broker, "t", first.clone(), handler).await;
    subscription.unwrap().end().await;
    for (text, pairs) in [("low", [("priority", "1")]), ("high", [("priority", "4")])] {
        publish(&broker, message("t", text, &pairs)).await.unwrap();
    }
    Subscribed::to(&broker, "short", Seen::default())
        .await
        .end()
        .await;
    let short = message("short", "gone", &[("ttlInSeconds", "1")]);
    publish(&broker, short).await.unwrap();
    beside.until_waiting("app-short", 0).await;
    beside.until_waiting("app-t", 2).await;
    let seen = Arc::new(Seen::default());
    let handler = Arc::clone(&seen) as Arc<dyn Handler>;
    let subscription = Subscription::to(&broker, "t", first, handler)
        .await
        .unwrap();
    seen.until("both", |texts| texts == ["high", "low"]).await;
    subscription.end().await;
}

#[tokio::test]
async fn no_more_than_the_prefetch_count_is_under_way() {
    let rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, &[KEPT, &[("prefetchCount", "2")]].concat()).await;
    let beside = Beside::the(&rabbit).await;
    let hanging = Arc::new(Hanging::default());
    let handler = Arc::clone(&hanging) as Arc<dyn Handler>;
    let subscription = Subscription::to(&broker, "t", request(&[]), handler).await;
    for _ in 0..5 {
        publish(&broker, message("t", "x", &[])).await.unwrap();
    }
    timeout(LIMIT, hanging.0.notified())
        .await
        .expect("it is given");
    beside.until_waiting("app-t", 3).await;
    subscription.unwrap().task.abort();
    beside.until_waiting("app-t", 5).await;
}

#[tokio::test]
async fn queues_of_other_kinds_are_declared_and_routes_are_kept() {
    let rabbit = RabbitMq::start().await;
    let pairs = [KEPT, &[("exchangeKind", "topic")]].concat();
    let broker = component(&rabbit, &pairs).await;
    let seen = Arc::new(Seen::default());
    let metadata = request(&[
        ("queueType", "quorum"),
        ("queueName", "mine"),
        ("routingKey", "a.*,b"),
    ]);
    let handler = Arc::clone(&seen) as Arc<dyn Handler>;
    let subscription = Subscription::to(&broker, "t", metadata, handler).await;
    let lone = request(&[("singleActiveConsumer", "true"), ("routingKey", "lone")]);
    let other = Arc::new(Seen::default());
    let handler = Arc::clone(&other) as Arc<dyn Handler>;
    let lone = Subscription::to(&broker, "t", lone, handler).await;
    for key in ["a.x", "none", "b"] {
        let sent = message("t", key, &[("routingKey", key)]);
        publish(&broker, sent).await.unwrap();
    }
    seen.until("those that are bound", |texts| texts.len() == 2)
        .await;
    let mut texts = seen.texts();
    texts.sort();
    assert_eq!(texts, ["a.x", "b"]);
    assert_eq!(other.texts(), [] as [&str; 0]);
    let queues = rabbit.control(&["list_queues", "name", "arguments", "--no-table-headers"]);
    for part in ["mine", "quorum", "app-t", "x-single-active-consumer"] {
        assert!(queues.contains(part), "{queues}");
    }
    subscription.unwrap().end().await;
    lone.unwrap().end().await;
}

#[tokio::test]
async fn auto_ack_acknowledges_before_handling() {
    let rabbit = RabbitMq::start().await;
    let broker = component(&rabbit, &[KEPT, &[("autoAck", "true")]].concat()).await;
    let beside = Beside::the(&rabbit).await;
    let refusing = Arc::new(Refusing::default());
    let handler = Arc::clone(&refusing) as Arc<dyn Handler>;
    let subscription = Subscription::to(&broker, "t", request(&[]), handler).await;
    publish(&broker, message("t", "x", &[])).await.unwrap();
    timeout(LIMIT, refusing.0.notified())
        .await
        .expect("it is given");
    subscription.unwrap().end().await;
    assert_eq!(beside.waiting("app-t").await, 0);
}

#[tokio::test]
async fn tls_trusts_the_authority_that_is_named_and_the_certificate_says_who_it_is() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("theirs"));
    let rabbit = RabbitMq::with_tls(&authority).await;
    let client = authority.client("guest", None);
    let uri = format!("amqps://nobody:none@{}", rabbit.address());
    let certificate = authority.certificate();
    let mut pairs = vec![
        ("saslExternal", "true"),
        ("clientCert", client.certificate.as_str()),
        ("clientKey", client.key.as_str()),
        ("caCert", certificate.as_str()),
    ];
    let broker = try_component(&uri, &pairs).await.expect("it logs in");
    let subscribed = Subscribed::to(&broker, "t", Seen::default()).await;
    publish(&broker, message("t", "sealed", &[])).await.unwrap();
    subscribed
        .seen
        .until("it", |texts| texts == ["sealed"])
        .await;
    subscribed.end().await;
    let other = stranger.certificate();
    pairs.pop();
    pairs.push(("caCert", other.as_str()));
    let error = try_component(&uri, &pairs).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}
