//! What brokers owe two subscribers of one topic: replicas of one consumer, or two consumers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::subscribed::{LIMIT, Seen, Subscribed};
use crate::pubsub::{Message, PubSub};

/// Between two looks at both.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the rules for two replicas of one consumer, on topics that start with `prefix`.
///
/// # Panics
/// When the broker breaks a rule.
pub async fn run_together([one, other]: [&dyn PubSub; 2], prefix: &str) {
    replicas_share_the_messages([one, other], &format!("{prefix}-shared")).await;
    what_a_replica_left_behind_is_taken_over([one, other], &format!("{prefix}-taken-over")).await;
}

/// Runs the rules for two consumers, on topics that start with `prefix`.
///
/// # Panics
/// When the broker breaks a rule.
pub async fn run_apart([one, other]: [&dyn PubSub; 2], prefix: &str) {
    let topic = format!("{prefix}-apart");
    let first = Subscribed::to(one, &topic, Seen::default()).await;
    let second = Subscribed::to(other, &topic, Seen::default()).await;
    let sent = publish(one, &topic, 20).await;
    for subscribed in [first, second] {
        let seen = Arc::clone(&subscribed.seen);
        seen.until("all", |texts| texts.len() >= sent.len()).await;
        assert_eq!(sorted(seen.texts()), sent, "each consumer gets each once");
        subscribed.end().await;
    }
}

async fn replicas_share_the_messages([one, other]: [&dyn PubSub; 2], topic: &str) {
    let first = Subscribed::to(one, topic, Seen::default()).await;
    let second = Subscribed::to(other, topic, Seen::default()).await;
    let sent = publish(one, topic, 100).await;
    let both = [&*first.seen, &*second.seen];
    until(|| texts(both).len() >= sent.len()).await;
    assert_eq!(sorted(texts(both)), sent, "one of them gets each");
    first.end().await;
    second.end().await;
}

/// One replica goes while it handles messages: none of them is lost.
async fn what_a_replica_left_behind_is_taken_over([one, other]: [&dyn PubSub; 2], topic: &str) {
    let gate = Arc::new(Semaphore::new(0));
    let first = Subscribed::to(one, topic, Seen::behind(&gate)).await;
    let sent = publish(other, topic, 10).await;
    first.seen.until("one", |texts| !texts.is_empty()).await;
    first.crash().await;
    let second = Subscribed::to(other, topic, Seen::default()).await;
    let seen = Arc::clone(&second.seen);
    seen.until("all", |texts| sent.iter().all(|text| texts.contains(text)))
        .await;
    second.end().await;
}

async fn publish(broker: &dyn PubSub, topic: &str, count: usize) -> Vec<String> {
    let sent: Vec<String> = (0..count).map(|number| format!("{number:04}")).collect();
    for text in &sent {
        let message = Message {
            topic: topic.to_owned(),
            data: text.clone().into(),
            ..Message::default()
        };
        let published = timeout(LIMIT, broker.publish(message)).await;
        published
            .expect("publishing ends")
            .expect("the broker serves");
    }
    sent
}

async fn until(wanted: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !wanted() {
        assert!(Instant::now() < end, "not all messages arrive");
        sleep(PAUSE).await;
    }
}

fn texts(seen: [&Seen; 2]) -> Vec<String> {
    seen.iter().flat_map(|seen| seen.texts()).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
