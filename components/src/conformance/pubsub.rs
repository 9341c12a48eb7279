//! What every broker owes publishers and subscribers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::pubsub::{Handler, Message, PubSub, PubSubError, SubscribeRequest, Unhandled};

/// How long anything may take before it counts as lost.
const LIMIT: Duration = Duration::from_secs(60);

/// What a broker's test knows about it.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// Messages of one topic are handed over in the order of their publication, one after the other.
    pub ordered: bool,
    /// The largest message, in bytes, that the suite publishes.
    pub large: usize,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            ordered: true,
            large: 900 * 1024,
        }
    }
}

/// Runs every rule on topics that start with `prefix`, for a broker that hands over in order.
///
/// # Panics
/// When the broker breaks a rule.
pub async fn run(broker: &dyn PubSub, prefix: &str) {
    run_as(broker, prefix, Traits::default()).await;
}

/// Runs every rule on topics that start with `prefix`.
///
/// # Panics
/// When the broker breaks a rule.
pub async fn run_as(broker: &dyn PubSub, prefix: &str, traits: Traits) {
    let suite = Suite {
        broker,
        prefix,
        traits,
    };
    suite.what_is_published_arrives().await;
    suite.every_message_arrives().await;
    suite.bulk_publications_arrive().await;
    suite.topics_know_nothing_of_each_other().await;
    suite.any_bytes_arrive_as_they_are().await;
    suite.what_is_not_taken_comes_again().await;
    suite.what_is_not_taken_holds_up_nothing_for_ever().await;
    suite
        .a_stopped_subscription_ends_after_what_it_handles()
        .await;
    suite.a_subscription_can_be_followed_by_another().await;
}

struct Suite<'a> {
    broker: &'a dyn PubSub,
    prefix: &'a str,
    traits: Traits,
}

/// What one subscription has seen.
#[derive(Default)]
pub struct Seen {
    messages: Mutex<Vec<Message>>,
    news: Notify,
    /// Texts that are refused so often before they are taken.
    refused: Mutex<BTreeMap<String, usize>>,
    /// What handling waits for, if anything.
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

#[async_trait]
impl Handler for Seen {
    async fn handle(&self, message: Message) -> Result<(), Unhandled> {
        let text = String::from_utf8_lossy(&message.data).into_owned();
        self.messages.lock().push(message);
        self.news.notify_waiters();
        if let Some(gate) = &self.gate {
            let _pass = gate.acquire().await;
        }
        match self.refused.lock().get_mut(&text) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(Unhandled("not this time".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl Seen {
    /// The texts handed over so far, in order.
    pub fn texts(&self) -> Vec<String> {
        let messages = self.messages.lock();
        let texts = messages.iter();
        texts
            .map(|message| String::from_utf8_lossy(&message.data).into_owned())
            .collect()
    }

    /// Everything handed over so far.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().clone()
    }

    /// Waits until what was handed over is as wanted.
    ///
    /// # Panics
    /// When it never is.
    pub async fn until(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        let end = Instant::now() + LIMIT;
        loop {
            let news = self.news.notified();
            let texts = self.texts();
            if wanted(&texts) {
                return;
            }
            let waited = timeout_at(end, news).await;
            assert!(waited.is_ok(), "{what}: {texts:?}");
        }
    }
}

/// A subscription at work, on a task of the test.
pub struct Subscribed {
    /// What it has seen.
    pub seen: Arc<Seen>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), PubSubError>>,
}

impl Subscribed {
    /// Subscribes to a topic as the broker has it.
    ///
    /// # Panics
    /// When the broker does not serve.
    pub async fn to(broker: &dyn PubSub, topic: &str, seen: Seen) -> Self {
        let seen = Arc::new(seen);
        let stop = CancellationToken::new();
        let request = SubscribeRequest {
            topic: topic.to_owned(),
            stop: stop.clone(),
            ..SubscribeRequest::default()
        };
        let subscribing = broker.subscribe(request, Arc::clone(&seen) as _);
        let consumption = timeout(LIMIT, subscribing).await;
        let consumption = consumption
            .expect("subscribing ends")
            .expect("the broker serves");
        Self {
            seen,
            stop,
            task: tokio::spawn(consumption),
        }
    }

    /// Stops it and waits for its end.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn end(self) {
        self.stop.cancel();
        let ended = timeout(LIMIT, self.task).await;
        let ended = ended.expect("a stopped subscription ends");
        assert_eq!(ended.expect("it does not panic"), Ok(()));
    }
}

impl Suite<'_> {
    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    async fn subscribe(&self, name: &str, seen: Seen) -> Subscribed {
        Subscribed::to(self.broker, &self.topic(name), seen).await
    }

    fn message(&self, name: &str, data: impl Into<Bytes>) -> Message {
        Message {
            topic: self.topic(name),
            data: data.into(),
            ..Message::default()
        }
    }

    async fn publish(&self, name: &str, data: impl Into<Bytes>) {
        let published = timeout(LIMIT, self.broker.publish(self.message(name, data))).await;
        published
            .expect("publishing ends")
            .expect("the broker serves");
    }

    /// In the order of publication where the broker promises one.
    fn in_order(&self, mut texts: Vec<String>) -> Vec<String> {
        if !self.traits.ordered {
            texts.sort();
        }
        texts
    }

    async fn what_is_published_arrives(&self) {
        let subscribed = self.subscribe("one", Seen::default()).await;
        self.publish("one", "hello").await;
        let seen = Arc::clone(&subscribed.seen);
        seen.until("the message", |texts| texts == ["hello"]).await;
        assert_eq!(seen.messages()[0].topic, self.topic("one"));
        subscribed.end().await;
    }

    async fn every_message_arrives(&self) {
        let subscribed = self.subscribe("many", Seen::default()).await;
        let sent: Vec<String> = (0..200).map(|number| format!("{number:04}")).collect();
        for text in &sent {
            self.publish("many", text.clone()).await;
        }
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() >= sent.len()).await;
        assert_eq!(self.in_order(seen.texts()), sent);
        subscribed.end().await;
    }

    async fn bulk_publications_arrive(&self) {
        let subscribed = self.subscribe("bulk", Seen::default()).await;
        let sent: Vec<String> = (0..150).map(|number| format!("{number:04}")).collect();
        let messages = sent.iter().map(|text| self.message("bulk", text.clone()));
        let publishing = self.broker.bulk_publish(messages.collect());
        let results = timeout(LIMIT, publishing).await.expect("publishing ends");
        assert_eq!(results, vec![Ok(()); sent.len()]);
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() >= sent.len()).await;
        let mut texts = seen.texts();
        texts.sort();
        assert_eq!(texts, sent);
        subscribed.end().await;
    }

    async fn topics_know_nothing_of_each_other(&self) {
        let one = self.subscribe("left", Seen::default()).await;
        let other = self.subscribe("right", Seen::default()).await;
        join_all([self.publish("left", "l"), self.publish("right", "r")]).await;
        one.seen.until("left", |texts| texts == ["l"]).await;
        other.seen.until("right", |texts| texts == ["r"]).await;
        one.end().await;
        other.end().await;
    }

    async fn any_bytes_arrive_as_they_are(&self) {
        let subscribed = self.subscribe("bytes", Seen::default()).await;
        let large = vec![b'x'; self.traits.large];
        let every: Vec<u8> = (0..=255).collect();
        let sent = [every, large, "päron 🍐\u{0}\n".into(), b"null ".to_vec()];
        for data in &sent {
            self.publish("bytes", data.clone()).await;
        }
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() == sent.len()).await;
        let arrived = seen.messages();
        for data in &sent {
            let same = |message: &Message| message.data == data.as_slice();
            assert!(arrived.iter().any(same), "{} bytes", data.len());
        }
        subscribed.end().await;
    }

    async fn what_is_not_taken_comes_again(&self) {
        let seen = Seen::default();
        seen.refused.lock().insert("stubborn".to_owned(), 2);
        let subscribed = self.subscribe("again", seen).await;
        self.publish("again", "stubborn").await;
        let thrice = |texts: &[String]| texts.len() == 3;
        subscribed.seen.until("the third time", thrice).await;
        subscribed.end().await;
    }

    async fn what_is_not_taken_holds_up_nothing_for_ever(&self) {
        let seen = Seen::default();
        seen.refused.lock().insert("poison".to_owned(), 1);
        let subscribed = self.subscribe("poison", seen).await;
        for text in ["poison", "after"] {
            self.publish("poison", text).await;
        }
        let both = |texts: &[String]| {
            let poisons = texts.iter().filter(|text| *text == "poison").count();
            poisons == 2 && texts.iter().any(|text| text == "after")
        };
        subscribed.seen.until("both", both).await;
        subscribed.end().await;
    }

    async fn a_stopped_subscription_ends_after_what_it_handles(&self) {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let seen = Seen {
            gate: Some(Arc::clone(&gate)),
            ..Seen::default()
        };
        let subscribed = self.subscribe("stop", seen).await;
        self.publish("stop", "last").await;
        subscribed.seen.until("it", |texts| texts == ["last"]).await;
        subscribed.stop.cancel();
        assert!(!subscribed.task.is_finished(), "it waits for its handler");
        gate.add_permits(1000);
        subscribed.end().await;
    }

    /// What was taken does not come again, and what comes later reaches the next.
    async fn a_subscription_can_be_followed_by_another(&self) {
        let first = self.subscribe("next", Seen::default()).await;
        self.publish("next", "first").await;
        first.seen.until("it", |texts| texts == ["first"]).await;
        first.end().await;
        let second = self.subscribe("next", Seen::default()).await;
        self.publish("next", "second").await;
        let seen = Arc::clone(&second.seen);
        seen.until("it", |texts| !texts.is_empty()).await;
        assert_eq!(seen.texts(), ["second"]);
        second.end().await;
    }
}
