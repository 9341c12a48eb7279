//! What the process around the sidecar is like.

use std::time::Duration;

use trilby_bootstrap::ServiceConfig;
use trilby_bootstrap::args::{LogArgs, MetricsArgs};
use trilby_sidecar_args::SidecarArgs;

/// Threads for the sidecar's tasks. A sidecar shares its pod with an application; two keep a slow turn of one
/// connection from stalling the others.
const WORKERS: usize = 2;
/// What has no limit. The end of the process is bounded by the sidecar itself, since its grace begins only when it
/// stops to serve.
pub(crate) const NO_LIMIT: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Logs, metrics and the end of the process, from the flags. Health is served by the sidecar's own API.
pub fn service_config(args: &SidecarArgs) -> ServiceConfig {
    let observability = &args.observability;
    ServiceConfig {
        app_id: Some(args.app.app_id.clone()),
        log: LogArgs {
            log_level: observability.log_level.as_str().to_owned(),
            log_as_json: observability.log_as_json,
            log_file: observability.log_file.clone(),
        },
        metrics: Some(MetricsArgs {
            enable_metrics: observability.enable_metrics,
            metrics_port: observability.metrics_port,
            metrics_listen_address: observability.metrics_listen_address.clone(),
        }),
        drain: NO_LIMIT,
        workers: WORKERS,
        // Upstream's words.
        failure: "Fatal error from runtime".to_owned(),
        ..ServiceConfig::new("daprd", args)
    }
}
