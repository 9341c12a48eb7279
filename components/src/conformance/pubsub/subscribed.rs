//! A subscription of a test, and what it has seen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::pubsub::{Handler, Message, PubSub, PubSubError, SubscribeRequest, Unhandled};

/// How long anything may take before it counts as lost.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What one subscription has seen.
#[derive(Default)]
pub struct Seen {
    messages: Mutex<Vec<Message>>,
    news: Notify,
    /// Texts that are refused so often before they are taken.
    refused: Mutex<BTreeMap<String, usize>>,
    /// What handling waits for, if anything.
    gate: Option<Arc<Semaphore>>,
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
    /// One that refuses this text so often before it takes it.
    #[must_use]
    pub fn refusing(text: &str, times: usize) -> Self {
        let seen = Self::default();
        seen.refused.lock().insert(text.to_owned(), times);
        seen
    }

    /// One whose handling waits for a permit of this, each time anew.
    #[must_use]
    pub fn behind(gate: &Arc<Semaphore>) -> Self {
        Self {
            gate: Some(Arc::clone(gate)),
            ..Self::default()
        }
    }

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

    /// Has it stop, and waits for nothing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends it as a crash would: nothing is settled.
    ///
    /// # Panics
    /// When it has ended before.
    pub async fn crash(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err(), "it consumed until now: {ended:?}");
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
