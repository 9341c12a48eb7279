//! What every broker owes publishers and subscribers.

mod replicas;
mod subscribed;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    metadata::Metadata,
    pubsub::{Message, PubSub},
    registry::{Backend, ComponentContext, CreateError, Instance, Registry},
};

pub use replicas::{run_apart, run_together};
use subscribed::LIMIT;
pub use subscribed::{Seen, Subscribed};

/// What a broker's test knows about it.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// Messages of one topic are handed over in the order of their publication, one after the other.
    pub ordered: bool,
    /// The largest message, in bytes, that the suite publishes.
    pub large: usize,
    /// It keeps what a subscription left behind for the next one of the same consumer.
    pub durable: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            ordered: true,
            large: 900 * 1024,
            durable: true,
        }
    }
}

/// The broker that a component with these fields is, of the application `app_id`.
///
/// # Errors
/// The component cannot be created.
///
/// # Panics
/// A name is given twice, or the type is no broker.
pub async fn create(
    backends: Vec<Backend>,
    type_name: &str,
    app_id: &str,
    pairs: &[(&str, &str)],
) -> Result<Arc<dyn PubSub>, CreateError> {
    let metadata = Metadata::new(pairs.iter().copied()).expect("no name is given twice");
    let context = ComponentContext {
        app_id: app_id.to_owned(),
        ..ComponentContext::default()
    };
    let registry = Registry::default().with(backends);
    match registry.create(type_name, "", context, metadata).await? {
        Instance::PubSub(broker) => Ok(broker),
        other => panic!("not a broker: {other:?}"),
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
    suite.publishers_do_not_disturb_each_other().await;
    suite.equal_messages_are_as_many_as_were_published().await;
    if traits.durable {
        suite.what_is_published_meanwhile_waits().await;
        suite.what_was_refused_is_left_to_the_next().await;
    }
}

struct Suite<'a> {
    broker: &'a dyn PubSub,
    prefix: &'a str,
    traits: Traits,
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
        let sent = [
            every,
            large,
            "päron 🍐\u{0}\n".into(),
            b"null ".to_vec(),
            Vec::new(),
        ];
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
        let seen = Seen::refusing("stubborn", 2);
        let subscribed = self.subscribe("again", seen).await;
        self.publish("again", "stubborn").await;
        let thrice = |texts: &[String]| texts.len() == 3;
        subscribed.seen.until("the third time", thrice).await;
        subscribed.end().await;
    }

    async fn what_is_not_taken_holds_up_nothing_for_ever(&self) {
        let seen = Seen::refusing("poison", 1);
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
        let gate = Arc::new(Semaphore::new(0));
        let subscribed = self.subscribe("stop", Seen::behind(&gate)).await;
        self.publish("stop", "last").await;
        subscribed.seen.until("it", |texts| texts == ["last"]).await;
        subscribed.stop();
        assert!(!subscribed.is_over(), "it waits for its handler");
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

    async fn publishers_do_not_disturb_each_other(&self) {
        let subscribed = self.subscribe("crowd", Seen::default()).await;
        let sent = |publisher: usize| (0..25).map(move |number| format!("{publisher} {number:02}"));
        let publishers = (0..8).map(async |publisher| {
            for text in sent(publisher) {
                self.publish("crowd", text).await;
            }
        });
        join_all(publishers).await;
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() >= 200).await;
        for publisher in 0..8 {
            let mut arrived = seen.texts();
            arrived.retain(|text| text.starts_with(&publisher.to_string()));
            assert_eq!(
                self.in_order(arrived),
                sent(publisher).collect::<Vec<_>>(),
                "of each publisher"
            );
        }
        subscribed.end().await;
    }

    async fn equal_messages_are_as_many_as_were_published(&self) {
        let subscribed = self.subscribe("equal", Seen::default()).await;
        for _ in 0..3 {
            self.publish("equal", "same").await;
        }
        self.publish("equal", "last").await;
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() == 4).await;
        let same = seen.texts().into_iter().filter(|text| text == "same");
        assert_eq!(same.count(), 3);
        subscribed.end().await;
    }

    async fn what_is_published_meanwhile_waits(&self) {
        self.subscribe("meanwhile", Seen::default())
            .await
            .end()
            .await;
        self.publish("meanwhile", "kept").await;
        let next = self.subscribe("meanwhile", Seen::default()).await;
        next.seen.until("it", |texts| texts == ["kept"]).await;
        next.end().await;
    }

    async fn what_was_refused_is_left_to_the_next(&self) {
        let never = Seen::refusing("left", usize::MAX);
        let first = self.subscribe("refused", never).await;
        self.publish("refused", "left").await;
        first.seen.until("it", |texts| !texts.is_empty()).await;
        first.end().await;
        let next = self.subscribe("refused", Seen::default()).await;
        next.seen.until("it", |texts| texts == ["left"]).await;
        next.end().await;
    }
}
