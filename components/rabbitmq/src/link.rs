//! One connection to the broker, which is made again when it is needed and gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lapin::{Channel, Connection};
use tokio::sync::Mutex;

use crate::{
    endpoint::Endpoint,
    failure::{Failure, answered},
};

/// AMQP's code of a peaceful end.
const SUCCESS: u16 = 200;

/// A connection that comes back.
#[derive(Debug)]
pub(crate) struct Link {
    endpoint: Arc<Endpoint>,
    /// Held while connecting, so that all who need a connection wait for one.
    live: Mutex<Option<Connection>>,
    closed: AtomicBool,
}

impl Link {
    /// One that connects when it is needed.
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            live: Mutex::default(),
            closed: AtomicBool::default(),
        }
    }

    /// A channel of its own for whoever asks.
    ///
    /// # Errors
    /// The broker is away or refuses, or the link is closed.
    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        let mut live = self.live.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::Refused("the component is closed".to_owned()));
        }
        let connection = match live.take().filter(|live| live.status().connected()) {
            Some(connection) => connection,
            None => self.endpoint.connect().await?,
        };
        let connection = live.insert(connection);
        answered("opening a channel", connection.create_channel()).await
    }

    /// Ends the connection; there is none any more after this.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let Some(connection) = self.live.lock().await.take() else {
            return;
        };
        let closing = answered("closing", connection.close(SUCCESS, "closed".into()));
        if let Err(error) = closing.await {
            tracing::debug!(%error, "RabbitMQ did not say goodbye");
        }
    }
}

/// A pause before attempt `attempt` of something that failed, the first being 1: `first`, doubled with each attempt up to
/// `longest`, of which a random part is taken off, so that not everybody comes at once.
pub(crate) fn jittered(attempt: u32, first: Duration, longest: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let most = first.saturating_mul(1 << doublings).min(longest);
    most.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::jittered;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(5));
        for (attempt, most) in [(1, 1), (2, 2), (3, 4), (4, 5), (u32::MAX, 5)] {
            let most = Duration::from_secs(most);
            let pause = jittered(attempt, first, longest);
            assert!(pause <= most && pause >= most / 2, "{attempt}: {pause:?}");
        }
    }
}
