//! The task that creates Events, and the queue before it: no review waits for the API server.

use kube::Client;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::net;
use trilby_events::{Reporter, tell};

use crate::{
    metrics::{Dropped, Metrics},
    news::{Notice, Schedule, Turn},
};

/// Notices that wait. Those that come while it is full are dropped and counted: requester and audit log have the reason.
const WAITING: usize = 256;

/// Where reviews leave what there is to tell.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    /// Nothing where nothing is told.
    queue: Option<mpsc::Sender<Notice>>,
    metrics: Metrics,
}

/// What the task takes from.
pub(crate) struct Queue {
    notices: mpsc::Receiver<Notice>,
    metrics: Metrics,
}

impl Telling {
    /// Both ends.
    pub(crate) fn new(metrics: &Metrics) -> (Self, Queue) {
        let (sender, notices) = mpsc::channel(WAITING);
        let telling = Self {
            queue: Some(sender),
            metrics: metrics.clone(),
        };
        let queue = Queue {
            notices,
            metrics: metrics.clone(),
        };
        (telling, queue)
    }

    /// Nothing is told.
    pub(crate) fn off(metrics: &Metrics) -> Self {
        Self {
            queue: None,
            metrics: metrics.clone(),
        }
    }

    /// Leaves a notice to be told, if there is room.
    pub(crate) fn leave(&self, notice: Notice) {
        if let Some(queue) = &self.queue
            && queue.try_send(notice).is_err()
        {
            self.metrics.not_told(Dropped::Queue);
        }
    }
}

impl Queue {
    /// Tells what comes until `cancel`, one Event after the other.
    pub(crate) async fn follow(
        mut self,
        client: Client,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let reporter = Reporter::new("dapr.io/injector", net::hostname());
        let mut schedule = Schedule::new(Instant::now());
        loop {
            let notice = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                notice = self.notices.recv() => notice,
            };
            let Some(notice) = notice else {
                // Nobody reviews any more: the process is about to end.
                cancel.cancelled().await;
                return Ok(());
            };
            match schedule.turn(&notice, Instant::now()) {
                Turn::Known => {}
                Turn::TooMany => self.metrics.not_told(Dropped::Rate),
                Turn::Now => {
                    let event = reporter.event(notice.regarding.clone(), notice.news());
                    tokio::select! {
                        () = cancel.cancelled() => return Ok(()),
                        () = tell(client.clone(), event) => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
impl Queue {
    /// What waits, of all that was left so far.
    pub(crate) fn waiting(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }
}
