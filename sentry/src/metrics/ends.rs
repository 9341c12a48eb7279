//! How long root, issuer and the last leaf still live, as of the moment of the scrape.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::bundle::unix_seconds;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ends(Arc<[End; 3]>);

struct End {
    gauge: IntGauge,
    /// In seconds since 1970; 0 as long as it is not known.
    at: AtomicU64,
}

impl Ends {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let end = |what: &str, help: &str| {
            let name = format!("dapr_sentry_{what}_expires_in_seconds");
            let gauge = IntGauge::new(name, help)?;
            Ok::<_, prometheus::Error>(End {
                gauge,
                at: AtomicU64::new(0),
            })
        };
        Ok(Self(Arc::new([
            end("rootcert", "How long the root certificate is still valid.")?,
            end(
                "issuercert",
                "How long the issuer certificate is still valid.",
            )?,
            end(
                "last_workloadcert",
                "How long the certificate that was signed last is still valid.",
            )?,
        ])))
    }

    /// Issuer and root end then, in seconds since 1970.
    pub(super) fn authority(&self, issuer: u64, root: u64) {
        self.0[0].at.store(root, Ordering::Relaxed);
        self.0[1].at.store(issuer, Ordering::Relaxed);
    }

    /// The leaf signed last ends then, in seconds since 1970.
    pub(super) fn leaf(&self, end: u64) {
        self.0[2].at.store(end, Ordering::Relaxed);
    }
}

impl Collector for Ends {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().flat_map(|end| end.gauge.desc()).collect()
    }

    /// What is not known yet is left out; what is over is negative.
    fn collect(&self) -> Vec<MetricFamily> {
        let now = unix_seconds(SystemTime::now()).cast_signed();
        let families = self.0.iter().filter_map(|end| {
            let at = end.at.load(Ordering::Relaxed).cast_signed();
            end.gauge.set(at - now);
            (at != 0).then(|| end.gauge.collect())
        });
        families.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_as_of_now_and_only_of_what_is_known() {
        let ends = Ends::new().unwrap();
        assert!(ends.collect().is_empty());
        let now = unix_seconds(SystemTime::now());
        ends.authority(now + 1000, now - 1000);
        let values: Vec<_> = ends
            .collect()
            .iter()
            .map(|family| family.get_metric()[0].get_gauge().get_value())
            .collect();
        assert_eq!(values.len(), 2);
        assert!((-1100.0..=-1000.0).contains(&values[0]), "{values:?}");
        assert!((900.0..=1000.0).contains(&values[1]), "{values:?}");
    }
}
