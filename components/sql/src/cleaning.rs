//! Rows that have expired are removed, once an interval by one of all sidecars.
//!
//! There is no task for that: a write leaves its connection to the cleaning when it is time, and answers. The connection
//! works on by itself, and requests after it look how far it is. It takes one connection of the pool meanwhile.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How many rows were removed, or the reason why not.
type Work = Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;

/// When rows are removed next, and what is under way of it.
pub struct Cleaning {
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    due: Instant,
    work: Option<Work>,
}

impl fmt::Debug for Cleaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleaning({:?})", self.interval)
    }
}

impl Cleaning {
    /// Begins with the first write.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        let state = Mutex::new(State {
            due: Instant::now(),
            work: None,
        });
        Self { interval, state }
    }

    /// How often it is done.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Looks how far it is; what has failed waits for its next time.
    pub fn look(&self) {
        let mut state = self.state.lock();
        let Some(done) = state.work.as_mut().and_then(|work| work.now_or_never()) else {
            return;
        };
        state.work = None;
        match done {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "values that had expired removed"),
            Err(error) => tracing::warn!(error, "values that had expired not removed"),
        }
    }

    /// Whether it is time: then it is up to the caller to [start](Self::start).
    #[must_use]
    pub fn begins(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let begins = state.work.is_none() && state.due <= now;
        if begins {
            state.due = now + self.interval;
        }
        begins
    }

    /// Does it, as far as it goes at once.
    pub fn start(&self, work: impl Future<Output = Result<u64, String>> + Send + 'static) {
        self.state.lock().work = Some(Box::pin(work));
        self.look();
    }

    /// Ends it, and the connection with it.
    pub fn stop(&self) {
        self.state.lock().work = None;
    }
}
