//! What the client tells of assignments, on its way to the member. The client waits in the meantime.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use krafka::Offset;
use krafka::consumer::{Consumer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::partitions::Key;

/// Events that may wait: the client tells one at a time.
pub(super) const EVENTS: usize = 4;

/// How long a partition may have no leader when it is assigned, and how often it is looked at.
const LEADER_LIMIT: Duration = Duration::from_secs(20);
const LEADER_PAUSE: Duration = Duration::from_millis(100);

/// A change of what is assigned.
#[derive(Debug)]
pub(super) enum Event {
    /// These partitions are the member's from now on.
    Assigned(Vec<Key>),
    /// These are until it says otherwise.
    Revoked(Vec<Key>, oneshot::Sender<()>),
    /// These were, until just now.
    Lost(Vec<Key>),
}

/// Passes events on.
pub(crate) struct Listener {
    events: mpsc::Sender<Event>,
    consumer: OnceLock<Weak<Consumer>>,
}

impl Listener {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self {
            events,
            consumer: OnceLock::new(),
        }
    }

    /// Whose events these are.
    pub(super) fn watches(&self, consumer: &Arc<Consumer>) {
        let _first = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Commits where reading begins. A group that begins with the newest message would begin there again each time a
    /// partition moves before its first commit, and never see what came in between.
    async fn anchor(&self, partitions: &[TopicPartition]) {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else {
            return;
        };
        let mut positions = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if let Some(offset) = beginning(&consumer, partition).await {
                positions.push((partition.clone(), OffsetAndMetadata::new(offset)));
            }
        }
        if !positions.is_empty()
            && let Err(error) = consumer.commit_offsets(positions).await
        {
            tracing::debug!("where reading begins is not committed: {error}");
        }
    }
}

impl ConsumerRebalanceListener for Listener {
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        self.anchor(partitions).await;
        // The member has ended when nobody takes it.
        let _gone = self.events.send(Event::Assigned(keys(partitions))).await;
    }

    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) {
        let (done, settled) = oneshot::channel();
        let event = Event::Revoked(keys(partitions), done);
        if self.events.send(event).await.is_ok() {
            // Either way, the member has nothing more to do with them.
            let _settled = settled.await;
        }
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        let _gone = self.events.send(Event::Lost(keys(partitions))).await;
    }
}

/// Where reading begins in a partition. One that has just been made has no leader yet, who alone knows.
async fn beginning(consumer: &Consumer, partition: &TopicPartition) -> Option<Offset> {
    let TopicPartition {
        topic, partition, ..
    } = partition;
    let end = Instant::now() + LEADER_LIMIT;
    while Instant::now() < end {
        if let Some(offset) = consumer.position(topic, *partition).await {
            return Some(offset);
        }
        sleep(LEADER_PAUSE).await;
        if let Err(error) = consumer.fetch_metadata(Some(topic)).await {
            tracing::debug!(topic, "who leads a partition is not known: {error}");
        }
    }
    tracing::warn!(
        topic,
        partition,
        "a partition of Kafka has no leader: what comes before it has one may be missed"
    );
    None
}

fn keys(partitions: &[TopicPartition]) -> Vec<Key> {
    let partitions = partitions.iter();
    partitions
        .map(|partition| (partition.topic.clone(), partition.partition))
        .collect()
}
