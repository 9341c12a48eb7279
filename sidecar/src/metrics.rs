//! What the sidecar counts, under upstream's names.
//!
//! Every label has a bounded set of values: route templates, not paths; app ids that were found, not those
//! that were asked for.

mod invocation;
mod server;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

pub use invocation::{CallKind, InvocationMetrics, SentTimer};
pub use server::{GrpcServerMetrics, HttpServerMetrics};

/// Upstream's latency buckets, in milliseconds.
const LATENCY_BUCKETS: [f64; 34] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0,
    100.0, 130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 2000.0, 5000.0,
    10000.0, 20000.0, 50000.0, 100_000.0,
];

/// Makes and registers metrics that carry this application's id.
#[derive(Debug, Clone, Copy)]
pub struct Families<'a> {
    registry: &'a Registry,
    app_id: &'a str,
}

impl<'a> Families<'a> {
    /// Metrics of one application's sidecar.
    pub fn new(registry: &'a Registry, app_id: &'a str) -> Self {
        Self { registry, app_id }
    }

    /// A counter; `name` stands behind `dapr_`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let opts = Opts::new(format!("dapr_{name}"), help).const_label("app_id", self.app_id);
        let family = IntCounterVec::new(opts, labels)?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// A histogram of milliseconds; `name` stands behind `dapr_`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn latency(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(format!("dapr_{name}"), help)
            .const_label("app_id", self.app_id)
            .buckets(LATENCY_BUCKETS.to_vec());
        let family = HistogramVec::new(opts, labels)?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

/// The milliseconds since `start`, as metrics have them.
fn elapsed_ms(start: tokio::time::Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
