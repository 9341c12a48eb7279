//! An open loop of operations.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::operation::{Operation, Target};

/// Milliseconds of every operation.
#[derive(Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// For instance the median, with 0.5.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let index = (quantile * sorted.len() as f64) as usize;
        let last = sorted.len().saturating_sub(1);
        sorted.get(index.min(last)).copied().unwrap_or(f64::NAN)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Operations a second, over all connections.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
    /// For how long.
    pub(crate) slice: Duration,
}

impl Load {
    /// Starts operations when they are due, whatever became of those before. Each connection has a thread of its own,
    /// which the kernel wakes within some tens of microseconds: timers of a runtime tick in milliseconds.
    pub(crate) async fn run(self, target: &Target, operation: Operation) -> Latencies {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let start = Instant::now() + Duration::from_millis(50);
        let mut threads = JoinSet::new();
        for connection in 0..self.connections {
            let first = start + interval * connection / self.connections;
            let target = target.clone();
            threads.spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime starts");
                runtime.block_on(self.one(target, operation, first))
            });
        }
        let mut all = Latencies::default();
        while let Some(latencies) = threads.join_next().await {
            all.extend(latencies.expect("no operation fails"));
        }
        all
    }

    async fn one(self, target: Target, operation: Operation, first: Instant) -> Latencies {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let count = (self.slice.as_secs_f64() / interval.as_secs_f64()) as u32;
        let mut client = target.connect().await;
        let mut latencies = Vec::with_capacity(count as usize);
        for index in 0..count {
            let due = first + interval * index;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            operation.perform(&mut client, index as usize).await;
            latencies.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        Latencies(latencies)
    }
}
