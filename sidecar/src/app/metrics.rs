//! Metrics: served by the process, and counted as the Configuration says at that moment.

use std::sync::Arc;

use anyhow::Context as _;
use trilby_bootstrap::Process;
use trilby_resources::Resources;

use crate::config::Config;
use crate::metrics::{Metrics, Settings};

/// Begins to count, if metrics are served at all: before the Configuration is known, as if it said nothing.
pub(super) fn start(config: &Config, process: &Process) -> Metrics {
    let namespace = &config.environment.namespace;
    if !config.metrics {
        return Metrics::off(&config.app_id, namespace);
    }
    let metrics = Metrics::new(&config.app_id, namespace, &Settings::default());
    process.expose(Arc::new(metrics.clone()));
    metrics
}

/// Counts as the Configuration says. A change that cannot be used leaves the old settings in force and says so.
///
/// # Errors
/// The first settings cannot be used.
pub(super) fn follow(
    metrics: &Metrics,
    config: &Config,
    resources: &Resources,
    process: &Process,
) -> anyhow::Result<()> {
    if !config.metrics {
        return Ok(());
    }
    let mut configurations = resources.configuration();
    let settings = Settings::new(&configurations.borrow_and_update())
        .context("the Configuration's spec.metrics")?;
    metrics.apply(&settings);
    let (followed, shutdown) = (metrics.clone(), process.shutdown());
    process.spawn("metrics", async move {
        let follow = async {
            while configurations.changed().await.is_ok() {
                match Settings::new(&configurations.borrow_and_update()) {
                    Ok(settings) => followed.apply(&settings),
                    Err(error) => tracing::error!(%error, "changed metrics settings are refused, the old ones stay in force"),
                }
            }
            // Without a named Configuration there is nothing to follow.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            () = follow => Ok(()),
        }
    });
    Ok(())
}
