//! How the rotation of the root fares.

use prometheus::{IntGauge, IntGaugeVec, Opts};

use super::Families;
use crate::rotation::Phase;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RotationMetrics {
    phase: IntGaugeVec,
    since: IntGauge,
    waiting: IntGauge,
    usable: IntGauge,
}

impl RotationMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, prometheus::Error> {
        let phase = IntGaugeVec::new(
            Opts::new(
                "dapr_sentry_rotation_phase",
                "1 for the phase that the rotation of the root is in, 0 for the others.",
            ),
            &["phase"],
        )?;
        families.0.register(Box::new(phase.clone()))?;
        Ok(Self {
            phase,
            since: families.gauge(
                "dapr_sentry_rotation_phase_begin_timestamp",
                "When that phase began, in seconds since 1970; 0 if there was no rotation yet.",
            )?,
            waiting: families.gauge(
                "dapr_sentry_rotation_waiting_workloads",
                "Workloads that the rotation of the root waits for.",
            )?,
            usable: families.gauge(
                "dapr_sentry_rotation_usable",
                "0 if a step of the rotation of the root failed, or its record cannot be read.",
            )?,
        })
    }

    /// It is in this phase since then, and waits for so many.
    pub(crate) fn stands(&self, phase: Phase, since: u64, waiting: usize) {
        for other in Phase::ALL {
            let gauge = self.phase.with_label_values(&[other.name()]);
            gauge.set((other == phase).into());
        }
        self.since.set(i64::try_from(since).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn usable(&self, usable: bool) {
        self.usable.set(usable.into());
    }
}
