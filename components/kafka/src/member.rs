//! One member of a group at work. It has no task: whoever polls it runs the client, the handlers and the commits.

mod handing;
mod listener;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use krafka::consumer::{Consumer, ConsumerRecord, OffsetAndMetadata, TopicPartition};
use krafka::{CloseOptions, KrafkaError};
use rand::Rng as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use handing::Taker;
use handing::{Finished, hand_over};
pub(crate) use listener::Listener;
use listener::{EVENTS, Event};

use crate::link::Link;
use crate::partitions::{Batching, Key, Offsets, Partitions, Waiting};
use crate::retry::Retry;

/// How long one poll waits for records.
const POLL: Duration = Duration::from_secs(1);
/// Between two commits: what a crash may repeat.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// Until a commit that failed is tried again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// How long handlers may go on with what is revoked. The whole group waits; afterwards the messages are another member's.
const REVOKED_LIMIT: Duration = Duration::from_secs(10);
/// The longest pause after a poll that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long the last commit and the farewell may take.
const FAREWELL: Duration = Duration::from_secs(10);
/// How often a topic without partitions is looked for, and one with them is looked at.
const LOOKS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// What a member is to do.
#[derive(Clone)]
pub(crate) struct Duty {
    pub(crate) topics: Vec<String>,
    pub(crate) batching: Batching,
    pub(crate) taker: Arc<dyn Taker>,
}

/// Why a member stopped.
#[derive(Debug)]
pub(crate) enum End {
    /// It was asked to.
    Stopped,
    /// Its topics have other partitions than when it joined.
    Repartitioned,
    /// It cannot go on.
    Failed(KrafkaError),
}

/// Partitions that are to be given up.
struct Leaving {
    keys: Vec<Key>,
    until: Instant,
    /// Tells the client that they are.
    done: oneshot::Sender<()>,
}

type Commit = BoxFuture<'static, (Offsets, Result<(), KrafkaError>)>;

/// One member.
pub(crate) struct Member {
    consumer: Arc<Consumer>,
    events: mpsc::Receiver<Event>,
    duty: Duty,
    retry: Retry,
    partitions: Partitions<ConsumerRecord>,
    work: FuturesUnordered<BoxFuture<'static, Finished>>,
    poll: Option<BoxFuture<'static, Result<Vec<ConsumerRecord>, KrafkaError>>>,
    look: BoxFuture<'static, Result<usize, KrafkaError>>,
    commit: Option<Commit>,
    /// No commit before.
    commit_at: Instant,
    leaving: Option<Leaving>,
    /// Polls that failed, one after the other.
    failures: u32,
    /// Whether it has been told what is assigned to it.
    joined: bool,
    /// Whether messages may be handed over.
    working: bool,
    /// How many partitions there were when it joined.
    known: usize,
    reconnect: Duration,
}

impl Member {
    /// Joins the group and waits, up to `patience`, until partitions are assigned.
    ///
    /// # Errors
    /// No broker answers, or one refuses.
    pub(crate) async fn join(
        link: &Link,
        duty: Duty,
        patience: Duration,
    ) -> Result<Self, KrafkaError> {
        let (sender, events) = mpsc::channel(EVENTS);
        let listener = Arc::new(Listener::new(sender));
        let consumer = Arc::new(link.member(Arc::clone(&listener)).await?);
        listener.watches(&consumer);
        consumer.subscribe(&duty.topics).await?;
        let known = appeared(&consumer, &duty.topics).await?;
        let group = &link.config().group;
        let mut member = Self {
            look: look(&consumer, &duty.topics, known),
            partitions: Partitions::new(duty.batching, group.most_waiting),
            retry: group.retry.clone(),
            reconnect: group.reconnect,
            work: FuturesUnordered::new(),
            poll: None,
            commit: None,
            commit_at: Instant::now(),
            leaving: None,
            failures: 0,
            joined: false,
            working: false,
            consumer,
            events,
            duty,
            known,
        };
        let assigned = async {
            while !member.joined {
                if let Err(End::Failed(error)) = member.step().await {
                    return Err(error);
                }
            }
            Ok(())
        };
        match timeout(patience, assigned).await {
            Ok(joined) => joined?,
            Err(_) => tracing::warn!(
                topics = ?member.duty.topics,
                "no partitions of Kafka are assigned yet: the group is busy"
            ),
        }
        member.working = true;
        Ok(member)
    }

    /// Works until it is stopped or cannot go on; either way, what is being handled is settled first.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> End {
        let end = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                step = self.step() => if let Err(end) = step {
                    break end;
                },
            }
        };
        self.settle().await;
        end
    }

    /// Waits for something to happen, and answers it.
    async fn step(&mut self) -> Result<(), End> {
        self.hand_over();
        self.turn().await;
        self.begin_commit();
        self.leave();
        let poll = self.poll.get_or_insert_with(|| {
            let consumer = Arc::clone(&self.consumer);
            let pause = pause(self.reconnect, self.failures);
            Box::pin(async move {
                sleep(pause).await;
                consumer.poll(POLL).await
            })
        });
        let wake = self.partitions.next().filter(|_| self.working);
        let wake = wake
            .into_iter()
            .chain(self.leaving.as_ref().map(|leaving| leaving.until));
        let uncommitted = self.commit.is_none() && !self.partitions.uncommitted().is_empty();
        let wake = wake.chain(uncommitted.then_some(self.commit_at)).min();
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => self.event(event),
            Some(finished) = self.work.next() => self.finished(&finished),
            (offsets, result) = async { self.commit.as_mut().expect("it is there").await },
                if self.commit.is_some() => self.end_commit(&offsets, result),
            polled = poll => {
                self.poll = None;
                self.polled(polled)?;
            }
            found = &mut self.look => self.looked(found)?,
            () = async { sleep_until(wake.expect("it is there")).await }, if wake.is_some() => {}
        }
        Ok(())
    }

    /// Gives handlers what they can have.
    fn hand_over(&mut self) {
        if !self.working {
            return;
        }
        for batch in self.partitions.begin(Instant::now()) {
            let taker = Arc::clone(&self.duty.taker);
            self.work
                .push(Box::pin(hand_over(taker, batch, self.retry.clone())));
        }
    }

    /// Pauses and resumes partitions.
    async fn turn(&mut self) {
        for ((topic, partition), paused) in self.partitions.turned() {
            match paused {
                true => self.consumer.pause(&topic, &[partition]).await,
                false => self.consumer.resume(&topic, &[partition]).await,
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Assigned(keys) => {
                self.joined = true;
                self.partitions.assign(keys);
            }
            Event::Revoked(keys, done) => {
                self.partitions.revoke(&keys);
                let until = Instant::now() + REVOKED_LIMIT;
                self.leaving = Some(Leaving { keys, until, done });
                // What has been taken until now is told before anyone else reads on.
                self.commit_at = Instant::now();
            }
            Event::Lost(keys) => self.partitions.forget(&keys),
        }
    }

    /// Lets go of what is revoked, once it is settled or took too long.
    fn leave(&mut self) {
        let Some(leaving) = &self.leaving else { return };
        let late = Instant::now() >= leaving.until;
        let unsettled = self.partitions.busy(&leaving.keys)
            || self.commit.is_some()
            || !self.partitions.uncommitted().is_empty();
        if unsettled && !late {
            return;
        }
        if let Some(leaving) = self.leaving.take() {
            self.partitions.forget(&leaving.keys);
            // Nobody waits any more when the poll that asked has ended.
            let _gone = leaving.done.send(());
        }
    }

    fn finished(&mut self, finished: &Finished) {
        let Finished {
            key,
            assignment,
            next,
        } = finished;
        self.partitions.finished(key, *assignment, *next);
        if self.leaving.is_some() {
            self.commit_at = Instant::now();
        }
    }

    fn begin_commit(&mut self) {
        if self.commit.is_some() || Instant::now() < self.commit_at {
            return;
        }
        let offsets = self.partitions.uncommitted();
        if !offsets.is_empty() {
            let consumer = Arc::clone(&self.consumer);
            self.commit = Some(Box::pin(async move {
                let result = commit(&consumer, &offsets).await;
                (offsets, result)
            }));
        }
    }

    fn end_commit(&mut self, offsets: &Offsets, result: Result<(), KrafkaError>) {
        self.commit = None;
        let pause = match result {
            Ok(()) => {
                self.partitions.committed(offsets);
                COMMIT_EVERY
            }
            Err(error) => {
                tracing::debug!("offsets are not committed yet: {error}");
                COMMIT_AGAIN.mul_f64(rand::rng().random_range(0.5..1.0))
            }
        };
        self.commit_at = Instant::now() + pause;
    }

    fn polled(&mut self, polled: Result<Vec<ConsumerRecord>, KrafkaError>) -> Result<(), End> {
        // What is assigned was told before the first record of it.
        while let Ok(event) = self.events.try_recv() {
            self.event(event);
        }
        match polled {
            Ok(records) => {
                if self.failures > 0 {
                    tracing::info!(topics = ?self.duty.topics, "Kafka answers again");
                }
                self.failures = 0;
                records.into_iter().for_each(|record| self.receive(record));
                Ok(())
            }
            Err(error) if error.is_retriable() => {
                if self.failures == 0 {
                    let topics = &self.duty.topics;
                    tracing::warn!(
                        ?topics,
                        "Kafka does not answer, and is asked again: {error}"
                    );
                }
                self.failures = self.failures.saturating_add(1);
                Ok(())
            }
            Err(error) => Err(End::Failed(error)),
        }
    }

    fn receive(&mut self, record: ConsumerRecord) {
        let headers = record.headers.iter();
        let headers =
            headers.map(|(name, value)| name.len() + value.as_ref().map_or(0, |v| v.len()));
        let data = [&record.key, &record.value].into_iter().flatten();
        let size = data.map(|bytes| bytes.len()).chain(headers).sum();
        let key = (record.topic.to_string(), record.partition);
        let waiting = Waiting {
            offset: record.offset,
            size,
            since: Instant::now(),
            record,
        };
        self.partitions.receive(&key, waiting);
    }

    fn looked(&mut self, found: Result<usize, KrafkaError>) -> Result<(), End> {
        match found {
            // The client joins anew for topics that it is told, not for partitions that they get.
            Ok(found) if found != self.known => Err(End::Repartitioned),
            _ => {
                self.look = look(&self.consumer, &self.duty.topics, self.known);
                Ok(())
            }
        }
    }

    /// Ends what is being handled, commits it and leaves the group.
    async fn settle(mut self) {
        self.working = false;
        self.partitions.revoke_all();
        for (topic, partitions) in self.consumer.assignment().await {
            self.consumer.pause(&topic, &partitions).await;
        }
        // The client is run on meanwhile: one that is not counts as gone.
        while !self.work.is_empty() {
            if self.step().await.is_err() {
                break;
            }
        }
        while let Some(finished) = self.work.next().await {
            self.finished(&finished);
        }
        self.poll = None;
        let farewell = async {
            if let Some(commit) = self.commit.take() {
                let (offsets, result) = commit.await;
                self.end_commit(&offsets, result);
            }
            let offsets = self.partitions.uncommitted();
            if !offsets.is_empty()
                && let Err(error) = commit(&self.consumer, &offsets).await
            {
                tracing::warn!("the last messages of a subscription come again: {error}");
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("the last messages of a subscription come again: Kafka does not answer");
        }
        // Nothing is left to answer when the client says what it gives up.
        drop(self.events);
        let options = CloseOptions::new().timeout(FAREWELL);
        if let Err(error) = self.consumer.close_with(options).await {
            tracing::debug!("leaving a group of Kafka: {error}");
        }
    }
}

async fn commit(consumer: &Consumer, offsets: &Offsets) -> Result<(), KrafkaError> {
    let offsets = offsets.iter().map(|((topic, partition), (_, offset))| {
        let partition = TopicPartition::new(topic.clone(), *partition);
        (partition, OffsetAndMetadata::new(*offset))
    });
    consumer.commit_offsets(offsets).await
}

/// How many partitions there are, once there are any: a topic may begin with the first question about it.
async fn appeared(consumer: &Consumer, topics: &[String]) -> Result<usize, KrafkaError> {
    for _ in 0..20 {
        let found = Link::partitions(consumer, topics).await?;
        if found > 0 {
            return Ok(found);
        }
        sleep(Duration::from_millis(250)).await;
        consumer.subscribe(topics).await?;
    }
    tracing::warn!(?topics, "Kafka has no such topics yet");
    Ok(0)
}

/// Looks, after a while, how many partitions there are.
fn look(
    consumer: &Arc<Consumer>,
    topics: &[String],
    known: usize,
) -> BoxFuture<'static, Result<usize, KrafkaError>> {
    let (consumer, topics) = (Arc::clone(consumer), topics.to_vec());
    let pause = if known == 0 { LOOKS.0 } else { LOOKS.1 };
    let pause = pause.mul_f64(rand::rng().random_range(0.8..1.2));
    Box::pin(async move {
        sleep(pause).await;
        Link::partitions(&consumer, &topics).await
    })
}

/// How long to wait after so many failures.
pub(crate) fn pause(first: Duration, failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let pause = first
        .saturating_mul(1 << doublings.min(16))
        .min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
