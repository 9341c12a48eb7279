//! What a service needs from its process, and the supervision of its tasks.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error};

use crate::{
    admin::{AdminReply, AdminRoutes},
    log::LogHandle,
    metrics::{Exposition, Metrics, Scrape},
    readiness::Readiness,
};

#[cfg(test)]
mod tests;

/// A running process, as its parts see it. Cheap to clone.
#[derive(Clone)]
pub struct Process(Arc<Inner>);

struct Inner {
    readiness: Readiness,
    metrics: Metrics,
    shutdown: CancellationToken,
    /// Cancelled when nothing is to be waited for any longer.
    aborted: CancellationToken,
    tasks: TaskTracker,
    running: Mutex<Vec<&'static str>>,
    /// The first task that ended before shutdown.
    ended: Mutex<Option<TaskEnded>>,
    routes: AdminRoutes,
    log: Option<LogHandle>,
}

/// A task that was to run as long as the process, and did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {name:?} ended: {reason}")]
pub struct TaskEnded {
    /// The name it was spawned under.
    pub name: &'static str,
    /// Its error with all sources, `panicked`, or `finished unexpectedly`.
    pub reason: String,
}

impl Process {
    pub(crate) fn new(log: Option<LogHandle>) -> Self {
        Self(Arc::new(Inner {
            readiness: Readiness::default(),
            metrics: Metrics::default(),
            shutdown: CancellationToken::new(),
            aborted: CancellationToken::new(),
            tasks: TaskTracker::new(),
            running: Mutex::default(),
            ended: Mutex::default(),
            routes: AdminRoutes::default(),
            log,
        }))
    }

    /// A process without signals, listeners or logs. Its tasks run on the current tokio runtime;
    /// end them with [`Process::stop`].
    #[must_use]
    pub fn for_test() -> Self {
        Self::new(None)
    }

    /// What must be ready before the process may be sent work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Where metrics are registered. Everything in it is served on the metrics port.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        self.0.metrics.registry()
    }

    /// Serves what `exposition` writes on the metrics port, behind what is registered.
    pub fn expose(&self, exposition: Arc<dyn Exposition>) {
        self.0.metrics.expose(exposition);
    }

    /// What the metrics port answers now, in Prometheus' text format, in pieces of whole lines.
    #[must_use]
    pub fn scrape(&self) -> Scrape {
        self.0.metrics.scrape()
    }

    /// Changes the level of the process's log; `None` in tests.
    #[must_use]
    pub fn log(&self) -> Option<&LogHandle> {
        self.0.log.as_ref()
    }

    /// Cancelled when the process begins to stop. Tasks then finish what they do and return.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.0.shutdown.clone()
    }

    /// Runs `task` as long as the process. If it ends before shutdown, in whatever way, the process stops with
    /// its name and reason; at shutdown the process waits for it, within the drain time.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let guard = TaskGuard::new(name, self.clone());
        self.0.tasks.spawn(async move {
            let result = task.await;
            guard.finish(result);
        });
    }

    /// Serves `GET <path>` on the health port with what `handler` returns at that moment. It is called on the
    /// admin thread and must not block.
    pub fn admin_route(
        &self,
        path: &'static str,
        handler: impl Fn() -> AdminReply + Send + Sync + 'static,
    ) {
        self.0.routes.insert(path, Arc::new(handler));
    }

    /// Ends the process as failed, without waiting for any task; `name` says who asks for it.
    pub fn abort(&self, name: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        self.0
            .ended
            .lock()
            .get_or_insert(TaskEnded { name, reason });
        self.0.aborted.cancel();
        self.0.shutdown.cancel();
    }

    /// Asks the tasks to end and waits for them, at most `drain`.
    ///
    /// # Errors
    /// The task that ended on its own before, if one did; else one that did not end in time.
    pub async fn stop(&self, drain: Duration) -> Result<(), TaskEnded> {
        self.0.shutdown.cancel();
        self.0.tasks.close();
        let drained = tokio::select! {
            drained = tokio::time::timeout(drain, self.0.tasks.wait()) => drained,
            () = self.0.aborted.cancelled() => Ok(()),
        };
        if let Some(ended) = self.0.ended.lock().clone() {
            return Err(ended);
        }
        match self.0.running.lock().first() {
            Some(&name) if drained.is_err() => Err(TaskEnded {
                name,
                reason: format!("did not finish within {drain:?}"),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn all_metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn routes(&self) -> &AdminRoutes {
        &self.0.routes
    }

    fn end(&self, name: &'static str, reason: String) {
        if self.0.shutdown.is_cancelled() {
            debug!(task = name, reason, "task ended while stopping");
            return;
        }
        error!(task = name, reason, "task ended, stopping");
        self.0
            .ended
            .lock()
            .get_or_insert(TaskEnded { name, reason });
        self.0.shutdown.cancel();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("readiness", &self.0.readiness)
            .field("running", &*self.0.running.lock())
            .finish_non_exhaustive()
    }
}

/// Reports the end of one task, also when it unwinds.
struct TaskGuard {
    name: &'static str,
    process: Process,
    finished: bool,
}

impl TaskGuard {
    fn new(name: &'static str, process: Process) -> Self {
        process.0.running.lock().push(name);
        Self {
            name,
            process,
            finished: false,
        }
    }

    fn finish(mut self, result: anyhow::Result<()>) {
        self.finished = true;
        let reason = match result {
            Ok(()) => "finished unexpectedly".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.process.end(self.name, reason);
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        let mut running = self.process.0.running.lock();
        if let Some(position) = running.iter().position(|name| *name == self.name) {
            running.swap_remove(position);
        }
        drop(running);
        // A task that is dropped with its runtime has not ended by itself.
        if !self.finished && std::thread::panicking() {
            self.process.end(self.name, "panicked".to_owned());
        }
    }
}
