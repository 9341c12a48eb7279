//! A closed loop of calls.

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trilby_testkit::load::Work as _;

use crate::call::Call;

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
                for index in 0..self.calls as usize {
                    call.perform(&mut connection, index).await?;
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
