//! Rows that have expired are removed, once an interval by one of all sidecars.
//!
//! There is no task for that: a write leaves its connection to the cleaning when it is time, and answers. The connection
//! works on by itself, and requests after it look how far it is. It takes one connection of the pool meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::table::Table;
use crate::failure::Failure;
use crate::pool::Loan;

type Work = Pin<Box<dyn Future<Output = Result<u64, Failure>> + Send>>;

/// When rows are removed next, and what is under way of it.
pub(super) struct Cleaning {
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    due: Instant,
    work: Option<Work>,
}

impl Cleaning {
    /// Begins with the first write.
    pub(super) fn new(interval: Duration) -> Self {
        let state = Mutex::new(State {
            due: Instant::now(),
            work: None,
        });
        Self { interval, state }
    }

    /// Looks how far it is; what has failed waits for its next time.
    pub(super) fn look(&self) {
        let mut state = self.state.lock();
        let Some(done) = state.work.as_mut().and_then(|work| work.now_or_never()) else {
            return;
        };
        state.work = None;
        match done {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "values that had expired removed"),
            Err(failure) => {
                let error = failure.reason();
                tracing::warn!(error, "values that had expired not removed");
            }
        }
    }

    /// Goes on with this connection if it is time, and gives it back otherwise.
    pub(super) fn go_on(&self, loan: Loan, table: &Arc<Table>) {
        if self.begins() {
            let (table, interval) = (Arc::clone(table), self.interval);
            let work = async move {
                let removed = table.clean(&loan, interval).await?;
                loan.settle(Ok(removed))
            };
            self.state.lock().work = Some(Box::pin(work));
            self.look();
        } else {
            loan.give_back();
        }
    }

    fn begins(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let begins = state.work.is_none() && state.due <= now;
        if begins {
            state.due = now + self.interval;
        }
        begins
    }

    /// Ends it, and the connection with it.
    pub(super) fn stop(&self) {
        self.state.lock().work = None;
    }
}
