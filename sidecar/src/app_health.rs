//! Whether the application is up: first that it listens, then, if asked for, that it says it is healthy.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::channel::{AppChannel, Connector};
use crate::config::{AppConfig, HealthCheckConfig};

/// How long one attempt to reach the application's port may take.
const DIAL_LIMIT: Duration = Duration::from_millis(500);
/// The pause between two attempts.
const DIAL_PAUSE: Duration = Duration::from_millis(100);
/// Attempts between two lines in the log.
const ATTEMPTS_PER_LINE: u32 = 100;

/// Waits until something listens on the application's port, for as long as it takes.
///
/// # Cancel safety
/// May be dropped at any time.
pub async fn wait_until_listening(app: &AppConfig, connector: &Connector) {
    let AppConfig { port, protocol, .. } = app;
    let start = Instant::now();
    tracing::info!(
        "application protocol: {protocol}. waiting on port {port}.  This will block until the app is listening on \
         that port."
    );
    let mut attempts = 0;
    while !matches!(timeout(DIAL_LIMIT, connector.connect()).await, Ok(Ok(_))) {
        attempts += 1;
        if attempts % ATTEMPTS_PER_LINE == 0 {
            tracing::info!(waited = ?start.elapsed(), "waiting for application to listen on port {port}");
        }
        sleep(DIAL_PAUSE).await;
    }
    tracing::info!("application discovered on port {port}");
}

/// Probes the application and tells `health`; ends when nobody is interested any more.
///
/// It is unhealthy until the first success; after that, `threshold` failures in a row make it unhealthy, and one
/// success healthy again.
pub async fn watch_health(
    channel: AppChannel,
    config: HealthCheckConfig,
    health: watch::Sender<bool>,
) {
    let mut ticks = interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut judge = Judge {
        threshold: config.threshold,
        failures: config.threshold,
    };
    while !health.is_closed() {
        ticks.tick().await;
        let answer = timeout(config.timeout, probe(&channel, &config.path)).await;
        let failure = match answer {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let healthy = judge.hear(failure.is_none());
        let changed = health.send_if_modified(|known| std::mem::replace(known, healthy) != healthy);
        match failure {
            None if changed => tracing::info!("app health check: the application is healthy"),
            Some(reason) if changed => {
                tracing::warn!(reason, "app health check: the application is unhealthy")
            }
            Some(reason) => tracing::debug!(reason, "app health check failed"),
            None => {}
        }
    }
}

async fn probe(channel: &AppChannel, path: &str) -> Result<(), String> {
    match channel {
        AppChannel::Http(http) => match http.probe(path).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!(
                "health check failed with status code: {}",
                status.as_u16()
            )),
            Err(error) => Err(error.to_string()),
        },
        AppChannel::Grpc(grpc) => grpc.probe().await.map_err(|status| status.to_string()),
    }
}

/// Counts failures in a row.
#[derive(Debug)]
struct Judge {
    threshold: u64,
    failures: u64,
}

impl Judge {
    /// Takes a probe's result; says whether the application counts as healthy.
    fn hear(&mut self, success: bool) -> bool {
        self.failures = if success {
            0
        } else {
            self.threshold.min(self.failures + 1)
        };
        self.failures < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::Judge;

    #[test]
    fn unhealthy_until_the_first_success() {
        let mut judge = Judge {
            threshold: 3,
            failures: 3,
        };
        assert!(!judge.hear(false));
        assert!(judge.hear(true));
    }

    #[test]
    fn only_failures_in_a_row_make_unhealthy() {
        let mut judge = Judge {
            threshold: 2,
            failures: 0,
        };
        for success in [false, true, false, true, false] {
            assert!(judge.hear(success));
        }
        assert!(!judge.hear(false));
        assert!(judge.hear(true));
    }
}
