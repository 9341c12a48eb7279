//! Which replica leads, as this one sees it.

use prometheus::{IntCounter, IntGauge, Registry};

/// Metrics of leadership. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LeaderMetrics {
    /// Upstream has both.
    status: [IntGauge; 2],
    won: IntCounter,
    term: IntGauge,
}

// === impl LeaderMetrics ===

impl LeaderMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let won = IntCounter::new(
            "dapr_placement_elections_won_total",
            "How often this replica became the leader",
        )?;
        registry.register(Box::new(won.clone()))?;
        let leads = "Whether this replica leads";
        Ok(Self {
            status: [
                gauge("dapr_placement_leader_status", leads)?,
                gauge("dapr_placement_raft_leader_status", leads)?,
            ],
            won,
            term: gauge(
                "dapr_placement_leader_term",
                "Number of the last election that this replica knows of",
            )?,
        })
    }

    /// This replica leads from now on.
    pub(crate) fn leading(&self) {
        self.status.iter().for_each(|gauge| gauge.set(1));
        self.won.inc();
    }

    /// This replica leads no more.
    pub(crate) fn following(&self) {
        self.status.iter().for_each(|gauge| gauge.set(0));
    }

    /// The last election that this replica knows of has this number.
    pub(crate) fn term(&self, term: u64) {
        self.term.set(i64::try_from(term).unwrap_or(i64::MAX));
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> i64 {
        self.status[0].get()
    }
}
