//! `bindings.rabbitmq` on a real RabbitMQ.

mod broker;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use broker::{Beside, metadata, request};
use bytes::Bytes;
use lapin::options::QueueDeleteOptions;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;
use trilby_components::binding::{
    BindingError, Event, EventHandler, InputBinding, Invocation, OutputBinding, Unhandled,
};
use trilby_components_rabbitmq::RabbitMqBinding;
use trilby_testkit::servers::rabbitmq::RabbitMq;

/// How long anything may take on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(120);

async fn component(rabbit: &RabbitMq, pairs: &[(&str, &str)]) -> RabbitMqBinding {
    let uri = rabbit.uri();
    let given = [
        ("host", uri.as_str()),
        ("queueName", "q"),
        ("durable", "true"),
        ("reconnectWaitInSeconds", "200ms"),
    ];
    let connecting = RabbitMqBinding::connect(&metadata(&[&given, pairs].concat())).await;
    connecting.expect("the broker serves")
}

async fn create(
    binding: &RabbitMqBinding,
    data: &str,
    pairs: &[(&str, &str)],
) -> Result<(), BindingError> {
    let invocation = Invocation {
        operation: "create".to_owned(),
        data: Bytes::copy_from_slice(data.as_bytes()),
        metadata: request(pairs),
    };
    let invoking = timeout(LIMIT, binding.invoke(invocation)).await;
    invoking.expect("it ends").map(drop)
}

/// Takes every event at the second time.
#[derive(Default)]
struct Hesitant {
    events: Mutex<Vec<Event>>,
    news: Notify,
}

#[async_trait]
impl EventHandler for Hesitant {
    async fn handle(&self, event: Event) -> Result<Option<Bytes>, Unhandled> {
        let mut events = self.events.lock();
        let again = events.contains(&event);
        events.push(event);
        self.news.notify_one();
        match again {
            true => Ok(None),
            false => Err(Unhandled("the first time".to_owned())),
        }
    }
}

impl Hesitant {
    async fn until(&self, wanted: usize) -> Vec<Event> {
        let waiting = async {
            while self.events.lock().len() < wanted {
                self.news.notified().await;
            }
        };
        timeout(LIMIT, waiting).await.expect("they come");
        self.events.lock().clone()
    }
}

#[tokio::test]
async fn events_come_with_their_headers_until_they_are_taken() {
    let mut rabbit = RabbitMq::start().await;
    let binding = component(&rabbit, &[]).await;
    let handler = Arc::new(Hesitant::default());
    let stop = CancellationToken::new();
    let reading = binding.read(Arc::clone(&handler) as _, stop.clone()).await;
    let reading = tokio::spawn(reading.unwrap());
    create(&binding, "one", &[("a key", "v"), ("contentType", "a/b")])
        .await
        .unwrap();
    let events = handler.until(2).await;
    let expected = Event {
        data: "one".into(),
        metadata: request(&[("a+key", "v"), ("contentType", "a/b")]),
        content_type: Some("a/b".to_owned()),
    };
    assert_eq!(events, [expected.clone(), expected]);
    rabbit.stop().await;
    rabbit.resume().await;
    create(&binding, "two", &[]).await.unwrap();
    let events = handler.until(4).await;
    assert_eq!(events[3].data, "two");
    stop.cancel();
    let ended = timeout(LIMIT, reading).await.expect("it ends");
    assert_eq!(ended.unwrap(), Ok(()));
    OutputBinding::close(&binding).await;
    let closed = create(&binding, "three", &[]).await;
    assert!(
        matches!(closed, Err(BindingError::Refused { .. })),
        "{closed:?}"
    );
}

#[tokio::test]
async fn messages_are_kept_with_what_was_said_of_them() {
    let rabbit = RabbitMq::start().await;
    let binding = component(&rabbit, &[("maxPriority", "9"), ("ttl", "1h")]).await;
    let beside = Beside::the(&rabbit).await;
    let pairs = [
        ("messageID", "m"),
        ("priority", "7"),
        ("ttlInSeconds", "60"),
    ];
    create(&binding, "x", &pairs).await.unwrap();
    beside.until_waiting("q", 1).await;
    let (data, properties) = beside.get("q").await.unwrap();
    assert_eq!(data, b"x");
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.priority(), Some(7));
    assert_eq!(*properties.message_id(), Some("m".into()));
    assert_eq!(*properties.expiration(), Some("60000".into()));
    assert_eq!(*properties.content_type(), Some("text/plain".into()));
    let wrong = create(&binding, "x", &[("priority", "high")]).await;
    assert!(
        matches!(wrong, Err(BindingError::InvalidRequest(_))),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn a_queue_that_is_gone_is_declared_again_and_no_message_vanishes() {
    let rabbit = RabbitMq::start().await;
    let binding = component(&rabbit, &[]).await;
    create(&binding, "one", &[]).await.unwrap();
    let beside = Beside::the(&rabbit).await;
    let deleting = beside
        .channel
        .queue_delete("q".into(), QueueDeleteOptions::default());
    deleting.await.unwrap();
    create(&binding, "two", &[]).await.unwrap();
    assert_eq!(beside.get("q").await.unwrap().0, b"two");
}

#[tokio::test]
async fn a_queue_of_one_connection_serves_both_directions() {
    let rabbit = RabbitMq::start().await;
    let binding = component(&rabbit, &[("exclusive", "true")]).await;
    let handler = Arc::new(Hesitant::default());
    let stop = CancellationToken::new();
    let reading = binding.read(Arc::clone(&handler) as _, stop.clone()).await;
    let reading = tokio::spawn(reading.unwrap());
    create(&binding, "one", &[]).await.unwrap();
    assert_eq!(handler.until(2).await[1].data, "one");
    stop.cancel();
    timeout(LIMIT, reading)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
}
