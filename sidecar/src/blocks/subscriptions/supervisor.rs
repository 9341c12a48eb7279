//! Which subscriptions there are to be, and a follower for each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};
use trilby_pubsub::subscription::{Subscription, merge, of_resource};

use super::consumer::Consumer;
use super::deliver::Receiver;
use super::follower::Follower;
use super::{Command, Parts, Shown, Source, stream};

/// Runs every subscription.
pub struct Supervisor {
    parts: Parts,
    commands: mpsc::Receiver<Command>,
    shown: Arc<ArcSwap<Vec<Shown>>>,
    /// What the application said; `None` until it is there.
    programmatic: Option<Vec<Subscription>>,
    running: HashMap<Key, Running>,
    /// What is wrong with subscriptions, as it was told.
    problems: HashSet<String>,
    streams: Vec<Shown>,
    followers: JoinSet<Ended>,
    /// Cancelled when everything ends.
    stop: CancellationToken,
}

/// Component and topic.
type Key = (String, String);

/// What ended.
enum Ended {
    Application,
    Stream(Arc<Subscription>),
}

/// A subscription of the application that has a follower.
struct Running {
    subscription: Arc<Subscription>,
    consumer: Arc<Consumer>,
    stop: CancellationToken,
    /// Cancelled when the follower has ended.
    ended: CancellationToken,
}

impl Supervisor {
    pub(super) fn new(
        parts: Parts,
        commands: mpsc::Receiver<Command>,
        shown: Arc<ArcSwap<Vec<Shown>>>,
    ) -> Self {
        Self {
            parts,
            commands,
            shown,
            programmatic: None,
            running: HashMap::new(),
            problems: HashSet::new(),
            streams: Vec::new(),
            followers: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Subscribes until `serving` is cancelled; returns when everything that was being handled is done.
    ///
    /// # Errors
    /// A follower panicked.
    pub async fn run(mut self, serving: CancellationToken) -> Result<(), JoinError> {
        let mut declared = self.parts.resources.subscriptions();
        loop {
            tokio::select! {
                () = serving.cancelled() => break,
                Some(command) = self.commands.recv() => self.obey(command),
                Ok(()) = declared.changed() => self.reconcile(None),
                Some(ended) = self.followers.join_next() => self.note(ended?),
            }
        }
        self.stop.cancel();
        while let Some(ended) = self.followers.join_next().await {
            self.note(ended?);
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Begin(programmatic, begun) => {
                self.programmatic = Some(programmatic);
                let (attempted, mut attempts) = mpsc::channel(1);
                self.reconcile(Some(&attempted));
                drop(attempted);
                self.followers.spawn(async move {
                    // Nobody sends: it ends when every follower has let go of its end.
                    attempts.recv().await;
                    begun.send(()).ok();
                    Ended::Application
                });
            }
            Command::Stream(joining) => self.join(joining),
        }
    }

    fn note(&mut self, ended: Ended) {
        if let Ended::Stream(subscription) = ended {
            let is_it = |shown: &Shown| Arc::ptr_eq(&shown.subscription, &subscription);
            self.streams.retain(|shown| !is_it(shown));
            self.show();
        }
    }

    /// Has a follower for each subscription that there is to be, and none for any other.
    fn reconcile(&mut self, attempted: Option<&mpsc::Sender<()>>) {
        let (Some(programmatic), Some(_)) = (self.programmatic.clone(), &self.parts.app) else {
            return;
        };
        let wanted = self.wanted(programmatic);
        self.running.retain(|key, running| {
            let kept = wanted.contains_key(key);
            if !kept {
                running.stop.cancel();
            }
            kept
        });
        for (key, subscription) in wanted {
            self.keep(key, subscription, attempted);
        }
        self.show();
    }

    /// What is to run, by component and topic. What cannot is told, once.
    fn wanted(&mut self, programmatic: Vec<Subscription>) -> HashMap<Key, Arc<Subscription>> {
        let resources = self.parts.resources.subscriptions();
        let mut problems = HashSet::new();
        let mut declared = Vec::new();
        for resource in resources.borrow().iter() {
            match of_resource(&resource.spec) {
                Ok(subscription) => declared.push((resource.name.clone(), subscription)),
                Err(reason) => {
                    problems.insert(format!("subscription {}: {reason}", resource.name));
                }
            }
        }
        let (subscriptions, refused) = merge(declared, programmatic);
        problems.extend(refused.iter().map(ToString::to_string));
        for problem in problems.difference(&self.problems) {
            warn!("{problem}");
        }
        self.problems = problems;
        let keyed = subscriptions.into_iter();
        keyed.map(|one| (key_of(&one), Arc::new(one))).collect()
    }

    fn keep(
        &mut self,
        key: Key,
        subscription: Arc<Subscription>,
        attempted: Option<&mpsc::Sender<()>>,
    ) {
        let mut after = None;
        match self.running.get_mut(&key) {
            Some(running) if is_same(&running.subscription, &subscription) => return,
            // The broker need not know.
            Some(running) if consumes_alike(&running.subscription, &subscription) => {
                running.consumer.set(Arc::clone(&subscription));
                running.subscription = subscription;
                return;
            }
            Some(running) => {
                running.stop.cancel();
                after = Some(running.ended.clone());
            }
            None => {}
        }
        let Some(app) = self.parts.app.clone() else {
            return;
        };
        let receiver = Receiver::App(app);
        let consumer = Arc::new(Consumer::new(
            self.parts.clone(),
            Arc::clone(&subscription),
            receiver,
        ));
        let running = Running {
            subscription: Arc::clone(&subscription),
            consumer: Arc::clone(&consumer),
            stop: self.stop.child_token(),
            ended: CancellationToken::new(),
        };
        let follower = Follower {
            parts: self.parts.clone(),
            consumer,
            stop: running.stop.clone(),
            attempted: attempted.cloned(),
        };
        let ended = running.ended.clone().drop_guard();
        let span = info_span!("subscription", pubsub = key.0, topic = key.1);
        let following = async move {
            if let Some(after) = after {
                after.cancelled().await;
            }
            follower.run().await;
            drop(ended);
            Ended::Application
        };
        self.followers.spawn(following.instrument(span));
        self.running.insert(key, running);
    }

    fn join(&mut self, joining: stream::Joining) {
        let subscription = Arc::clone(&joining.subscription);
        self.streams.push(Shown {
            source: Source::Streaming,
            subscription: Arc::clone(&subscription),
        });
        self.show();
        let span = info_span!(
            "subscription",
            pubsub = subscription.pubsub,
            topic = subscription.topic
        );
        let following = joining.run(self.parts.clone(), self.stop.child_token());
        let following = async move {
            following.await;
            Ended::Stream(subscription)
        };
        self.followers.spawn(following.instrument(span));
    }

    fn show(&self) {
        let programmatic = self.programmatic.iter().flatten().map(|one| Shown {
            source: Source::Programmatic,
            subscription: Arc::new(one.clone()),
        });
        let shown = programmatic.chain(self.streams.iter().cloned());
        self.shown.store(Arc::new(shown.collect()));
    }
}

fn key_of(subscription: &Subscription) -> Key {
    (subscription.pubsub.clone(), subscription.topic.clone())
}

fn is_same(one: &Subscription, other: &Subscription) -> bool {
    consumes_alike(one, other)
        && one.dead_letter == other.dead_letter
        && one.raw == other.raw
        && one.routes.rules().eq(other.routes.rules())
}

/// Whether the broker sees no difference.
fn consumes_alike(one: &Subscription, other: &Subscription) -> bool {
    one.metadata == other.metadata && one.bulk == other.bulk
}
