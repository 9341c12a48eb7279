//! Load for benchmarks, and how long what was asked took.

use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is done again and again over a connection.
pub trait Work: Clone + Send + 'static {
    /// Where it is done, one after the other.
    type Connection;

    /// The runtime of what connections have in common, for instance of a pool. Without one, each connection is alone with
    /// its thread, which is faster.
    fn runtime(&self) -> Option<Handle> {
        None
    }

    /// Opens a connection.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Does it for the `index`th time over this connection; an answer that is no success is an error.
    fn perform(
        &self,
        connection: &mut Self::Connection,
        index: usize,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// Milliseconds of every operation.
#[derive(Debug, Default)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// Adds those of another slice.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// For instance the median, with 0.5. Of nothing, not a number.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (quantile * sorted.len() as f64) as usize;
        let last = sorted.len().saturating_sub(1);
        sorted.get(index.min(last)).copied().unwrap_or(f64::NAN)
    }
}

/// Operations that start when they are due, whatever became of those before: latency is counted from then, so that a
/// stall is not hidden.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// Operations a second, over all connections.
    pub rate: u32,
    /// Connections. Each does one operation at a time.
    pub connections: u32,
    /// For how long.
    pub slice: Duration,
}

impl OpenLoop {
    /// Does it all.
    ///
    /// Each connection has a thread of its own, which the kernel wakes within some tens of microseconds: timers of a
    /// runtime tick in milliseconds, more than an operation takes.
    ///
    /// # Errors
    /// An operation failed.
    pub async fn run(self, work: impl Work) -> Result<Latencies> {
        let start = Instant::now() + Duration::from_millis(50);
        let mut threads = JoinSet::new();
        for connection in 0..self.connections {
            let first = start + self.interval() * connection / self.connections;
            let work = work.clone();
            threads.spawn_blocking(move || match work.runtime() {
                Some(shared) => shared.block_on(self.one_connection(work, first)),
                None => Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(self.one_connection(work, first)),
            });
        }
        let mut all = Latencies::default();
        while let Some(latencies) = threads.join_next().await {
            all.extend(latencies??);
        }
        Ok(all)
    }

    /// Between two operations of a connection.
    fn interval(self) -> Duration {
        Duration::from_secs(1) * self.connections / self.rate
    }

    async fn one_connection(self, work: impl Work, first: Instant) -> Result<Latencies> {
        let interval = self.interval();
        let count = (self.slice.as_secs_f64() / interval.as_secs_f64()) as u32;
        let mut connection = work.connect().await?;
        let mut latencies = Vec::with_capacity(count as usize);
        for index in 0..count {
            let due = first + interval * index;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            work.perform(&mut connection, index as usize).await?;
            latencies.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(Latencies(latencies))
    }
}

/// Operations that start as soon as the one before on the same connection was answered: as many as go.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop {
    /// Connections.
    pub connections: u32,
    /// Operations of each.
    pub operations: u32,
}

impl ClosedLoop {
    /// How many operations it is.
    pub fn count(self) -> usize {
        (self.connections * self.operations) as usize
    }

    /// Does it all, and says how long it took.
    ///
    /// # Errors
    /// An operation failed.
    pub async fn run<W>(self, work: W) -> Result<Duration>
    where
        W: Work + Sync,
        W::Connection: Send,
    {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let work = work.clone();
            tasks.spawn(async move {
                let mut connection = work.connect().await?;
                for index in 0..self.operations as usize {
                    work.perform(&mut connection, index).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(start.elapsed())
    }
}
