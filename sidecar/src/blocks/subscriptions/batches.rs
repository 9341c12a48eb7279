//! Batches that the sidecar makes, for brokers that hand over one message at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use trilby_components::pubsub::{Batches, Consumption, Handler, Message, Unhandled};

/// How many messages a batch has at most, and how long it is waited for, where the subscription does not say:
/// upstream's defaults.
const DEFAULT: (usize, Duration) = (100, Duration::from_secs(1));

/// Puts single messages into the batch that is open.
pub(super) struct Batcher {
    queue: mpsc::Sender<Waiting>,
}

/// A message of a batch, and who waits for it.
struct Waiting {
    message: Message,
    taken: oneshot::Sender<Result<(), Unhandled>>,
}

/// Hands over batches for as long as it is polled.
pub(super) struct Batching {
    queue: mpsc::Receiver<Waiting>,
    most: usize,
    wait: Duration,
    handler: Arc<dyn Handler>,
}

impl Batcher {
    /// `at_once`: a batch is not waited for.
    pub(super) fn new(
        batches: Batches,
        at_once: bool,
        handler: Arc<dyn Handler>,
    ) -> (Self, Batching) {
        let most = batches.max_messages.unwrap_or(DEFAULT.0).max(1);
        let wait = match at_once {
            true => Duration::ZERO,
            false => batches.max_wait.unwrap_or(DEFAULT.1),
        };
        let (sender, queue) = mpsc::channel(most);
        let batching = Batching {
            queue,
            most,
            wait,
            handler,
        };
        (Self { queue: sender }, batching)
    }
}

#[async_trait]
impl Handler for Batcher {
    async fn handle(&self, message: Message) -> Result<(), Unhandled> {
        let (taken, answer) = oneshot::channel();
        let over = || Unhandled("the subscription ends".to_owned());
        let queued = self.queue.send(Waiting { message, taken }).await;
        queued.map_err(|_| over())?;
        answer.await.unwrap_or_else(|_| Err(over()))
    }
}

impl Batching {
    /// The consumption, with its batches.
    pub(super) fn beside(self, consumption: Consumption) -> Consumption {
        Box::pin(async move {
            tokio::select! {
                ended = consumption => ended,
                // It ends when nobody hands over messages any more, which is when the consumption has ended.
                never = self.run() => match never {},
            }
        })
    }

    async fn run(mut self) -> std::convert::Infallible {
        loop {
            let Some(first) = self.queue.recv().await else {
                return std::future::pending().await;
            };
            let batch = self.fill(first).await;
            let (messages, waiting): (Vec<_>, Vec<_>) = batch
                .into_iter()
                .map(|waiting| (waiting.message, waiting.taken))
                .unzip();
            let mut results = self.handler.handle_batch(messages).await.into_iter();
            for taken in waiting {
                let missing = || Err(Unhandled("the batch has no answer for it".to_owned()));
                // Whoever waited may have given up.
                taken.send(results.next().unwrap_or_else(missing)).ok();
            }
        }
    }

    async fn fill(&mut self, first: Waiting) -> Vec<Waiting> {
        let until = Instant::now() + self.wait;
        let mut batch = vec![first];
        while batch.len() < self.most {
            match timeout_at(until, self.queue.recv()).await {
                Ok(Some(waiting)) => batch.push(waiting),
                Ok(None) | Err(_) => break,
            }
        }
        batch
    }
}
