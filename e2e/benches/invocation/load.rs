//! Open and closed loops of calls.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::call::Call;

/// Milliseconds of every request.
#[derive(Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    /// Adds those of another slice.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// For instance the median, with 0.5.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (quantile * sorted.len() as f64) as usize;
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// An open loop over a fixed number of connections.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Requests a second, over all connections.
    pub(crate) rate: u32,
    /// Connections.
    pub(crate) connections: u32,
    /// For how long.
    pub(crate) slice: Duration,
}

impl Load {
    /// Makes calls when they are due, whatever became of those before.
    ///
    /// Each connection has a thread of its own, which the kernel wakes within some tens of microseconds: timers of a
    /// runtime tick in milliseconds, more than a call takes.
    pub(crate) async fn run(self, call: Call) -> Result<Latencies> {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let start = Instant::now() + Duration::from_millis(50);
        let mut tasks = JoinSet::new();
        for connection in 0..self.connections {
            let first = start + interval * connection / self.connections;
            tasks.spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(self.one_connection(call, first))
            });
        }
        let mut all = Latencies::default();
        while let Some(latencies) = tasks.join_next().await {
            all.extend(Latencies(latencies??));
        }
        Ok(all)
    }

    async fn one_connection(self, call: Call, first: Instant) -> Result<Vec<f64>> {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let count = (self.slice.as_secs_f64() / interval.as_secs_f64()) as u32;
        let mut connection = call.connect().await?;
        let mut latencies = Vec::with_capacity(count as usize);
        for index in 0..count {
            let due = first + interval * index;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            call.make(&mut connection).await?;
            latencies.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(latencies)
    }
}

/// A closed loop: each connection makes a call as soon as the one before was answered.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    /// Connections.
    pub(crate) connections: u32,
    /// Calls of each.
    pub(crate) calls: u32,
}

impl Flood {
    /// How many calls it is.
    pub(crate) fn count(self) -> usize {
        (self.connections * self.calls) as usize
    }

    /// Calls a second.
    pub(crate) async fn run(self, call: Call) -> Result<f64> {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            tasks.spawn(async move {
                let mut connection = call.connect().await?;
                for _ in 0..self.calls {
                    call.make(&mut connection).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(self.count() as f64 / start.elapsed().as_secs_f64())
    }
}
