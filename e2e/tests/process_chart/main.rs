//! The chart on a real API server: what it renders is taken, a release goes through its life without a trace, and its
//! services work with the rights it gives them. No node runs anything here; services are processes of the tests.

mod lifecycle;
mod release;
mod rendering;
mod rights;

use std::time::Duration;

/// The chart.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");
/// What the chart calls its release's namespace in the golden files.
const NAMESPACE: &str = "dapr-system";
/// How long anything may take on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(4);
