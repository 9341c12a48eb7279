//! What ends when: first the servers, then what they use, and everything at once when that takes too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_bootstrap::Process;
use trilby_go_syntax::GoDuration;

use crate::config::EndingConfig;

/// How long a forced end waits, so that the answer to its request gets out.
const FORCED_PAUSE: Duration = Duration::from_millis(100);

/// The order of the end. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ending {
    /// Servers stop; cancelled some time after the process was told to end, if so configured.
    pub(super) serving: CancellationToken,
    /// Components close; cancelled when the last holder of `in_use` is gone.
    pub(super) closing: CancellationToken,
    /// Held by every server, and by the actors, until its last request is done.
    pub(super) in_use: Arc<DropGuard>,
    /// Everything stops at once.
    pub(super) forced: CancellationToken,
}

impl Ending {
    pub(super) fn new() -> Self {
        let closing = CancellationToken::new();
        Self {
            serving: CancellationToken::new(),
            in_use: Arc::new(closing.clone().drop_guard()),
            closing,
            forced: CancellationToken::new(),
        }
    }

    /// Ends serving when the process is told to end: at once, or after the configured time, unless the
    /// application becomes unhealthy before. What has not ended after the grace is not waited for.
    pub(super) fn spawn(
        &self,
        process: &Process,
        config: EndingConfig,
        healthy: watch::Receiver<bool>,
    ) {
        let (serving, forced) = (self.serving.clone(), self.forced.clone());
        let (shutdown, ended) = (process.shutdown(), process.clone());
        // No task of the process: it outlives the others, to end the process when one of them hangs.
        tokio::spawn(async move {
            let force = async {
                forced.cancelled().await;
                tokio::time::sleep(FORCED_PAUSE).await;
                ended.abort("shutdown", "forced through the API");
            };
            let end = async {
                shutdown.cancelled().await;
                if let Some(block) = config.block {
                    keep_serving(block, healthy).await;
                }
                serving.cancel();
                let Some(grace) = config.grace else {
                    tracing::info!("a graceful shutdown of this sidecar has no time limit");
                    return std::future::pending().await;
                };
                tokio::time::sleep(grace).await;
                tracing::error!("Graceful shutdown timeout exceeded, forcing shutdown");
                ended.abort("shutdown", format!("not complete within {grace:?}"));
            };
            tokio::select! {
                () = force => {}
                () = end => {}
            }
        });
    }
}

async fn keep_serving(block: Duration, mut healthy: watch::Receiver<bool>) {
    tracing::info!(
        "Blocking graceful shutdown for {} or until app reports unhealthy...",
        GoDuration(block)
    );
    tokio::select! {
        () = tokio::time::sleep(block) => {
            tracing::info!("Block shutdown period expired, entering shutdown...");
        }
        Ok(_) = healthy.wait_for(|healthy| !healthy) => {
            tracing::info!("App reported unhealthy, entering shutdown...");
        }
    }
}
