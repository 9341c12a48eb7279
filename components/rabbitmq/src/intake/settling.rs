//! What the broker is told about a message, and when.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use lapin::{
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use trilby_components::pubsub::Unhandled;

use crate::{failure::answered, link::jittered};

/// Until a message that was not taken goes back, at first and at most: the broker gives it again at once.
const BACK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What becomes of a message that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It goes back to its queue.
    Requeued,
    /// The broker puts it where dead letters go, if the queue has such a place, and drops it if it has none.
    Rejected,
}

/// How messages are settled.
#[derive(Debug)]
pub(crate) enum Settling {
    /// Before they are handed over: what is not taken then is lost.
    Before,
    /// After they were handled.
    After {
        /// What becomes of those that were not taken.
        refused: Refused,
        /// How many in a row were not taken.
        failures: AtomicU32,
    },
}

impl Settling {
    /// After they were handled.
    pub(crate) fn after_handling(refused: Refused) -> Self {
        Self::After {
            refused,
            failures: AtomicU32::new(0),
        }
    }

    /// Says what is to be said before a message is handed over, and whether it is to be.
    pub(super) async fn before(&self, delivery: &Delivery) -> bool {
        match self {
            Self::Before => acknowledge(delivery).await,
            Self::After { .. } => true,
        }
    }

    /// Says what is to be said once its handler has ended.
    pub(super) async fn after(
        &self,
        queue: impl std::fmt::Display,
        delivery: &Delivery,
        taken: Result<(), Unhandled>,
        stop: &CancellationToken,
    ) {
        match (self, taken) {
            (Self::Before, Ok(())) => {}
            (Self::Before, Err(error)) => {
                tracing::warn!(%queue, "a message was not taken and is lost, as autoAck says: {error}");
            }
            (Self::After { failures, .. }, Ok(())) => {
                failures.store(0, Ordering::Relaxed);
                acknowledge(delivery).await;
            }
            (Self::After { refused, failures }, Err(error)) => {
                tracing::warn!(%queue, ?refused, "a message was not taken: {error}");
                let failures = failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                let pause = sleep(refused.pause(failures));
                stop.run_until_cancelled(pause).await;
                refuse(delivery, *refused).await;
            }
        }
    }
}

impl Refused {
    fn pause(self, failures: u32) -> Duration {
        match self {
            Self::Requeued => jittered(failures, BACK.0, BACK.1),
            Self::Rejected => Duration::ZERO,
        }
    }
}

/// Whether the broker was told. If not, the channel is gone, and it gives the message again.
async fn acknowledge(delivery: &Delivery) -> bool {
    let told = answered("acknowledging", delivery.ack(BasicAckOptions::default()));
    match told.await {
        Ok(usable) => usable,
        Err(error) => {
            tracing::debug!(%error, "a message comes again");
            false
        }
    }
}

async fn refuse(delivery: &Delivery, refused: Refused) {
    let options = BasicNackOptions {
        requeue: refused == Refused::Requeued,
        ..BasicNackOptions::default()
    };
    if let Err(error) = answered("giving back", delivery.nack(options)).await {
        tracing::debug!(%error, "a message comes again");
    }
}
