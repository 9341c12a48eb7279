//! Gathers spans and delivers them, again if need be.
//!
//! One warning says that an exporter's server does not take spans, one line that it does again; in between,
//! attempts are logged at debug only.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::export::{ExportError, Exporter};
use crate::pipeline::Stats;
use crate::settings::Batching;
use crate::span::SpanData;

/// The first pause before a batch is sent again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A batch that is older is lost: OpenTelemetry's libraries give up as late.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Spans of one exporter, in batches.
pub(crate) struct Batches {
    spans: mpsc::Receiver<Arc<SpanData>>,
    batching: Batching,
}

impl Batches {
    pub(crate) fn new(spans: mpsc::Receiver<Arc<SpanData>>, batching: Batching) -> Self {
        Self { spans, batching }
    }

    /// The next batch: full, or as old as batches may become, or the last. `None` after the last.
    async fn next(&mut self) -> Option<Vec<Arc<SpanData>>> {
        let mut batch = vec![self.spans.recv().await?];
        let due = sleep_until(Instant::now() + self.batching.delay);
        tokio::pin!(due);
        while batch.len() < self.batching.batch {
            let room = self.batching.batch - batch.len();
            tokio::select! {
                got = self.spans.recv_many(&mut batch, room) => if got == 0 {
                    break;
                },
                () = &mut due => break,
            }
        }
        Some(batch)
    }
}

/// Exports until the last span is delivered or lost.
pub(crate) async fn run(exporter: Exporter, mut batches: Batches, stats: Arc<Stats>) {
    let mut delivery = Delivery {
        exporter,
        stats,
        lost_since_failure: None,
    };
    while let Some(batch) = batches.next().await {
        delivery.deliver(&batch).await;
    }
}

struct Delivery {
    exporter: Exporter,
    stats: Arc<Stats>,
    /// While the server does not take spans: how many were lost meanwhile.
    lost_since_failure: Option<u64>,
}

impl Delivery {
    async fn deliver(&mut self, batch: &[Arc<SpanData>]) {
        let spans = batch.len() as u64;
        let give_up = Instant::now() + GIVE_UP;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.exporter.export(batch).await {
                Ok(()) => return self.delivered(spans),
                Err(error) => error,
            };
            self.failed(&error);
            if !error.may_pass() || Instant::now() + pause > give_up {
                return self.lost(spans);
            }
            sleep(with_jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn delivered(&mut self, spans: u64) {
        self.stats.export_spans(spans);
        if let Some(lost) = self.lost_since_failure.take() {
            tracing::info!(
                target: "dapr.runtime",
                exporter = self.exporter.name(),
                lost,
                "spans are exported again"
            );
        }
    }

    fn failed(&mut self, error: &ExportError) {
        let (exporter, address) = (self.exporter.name(), self.exporter.address());
        if self.lost_since_failure.is_some() {
            tracing::debug!(exporter, address, %error, "spans are still not exported");
            return;
        }
        self.lost_since_failure = Some(0);
        tracing::warn!(
            target: "dapr.runtime",
            exporter,
            address,
            %error,
            "spans are not exported; they are kept and sent again for a while, and requests go on"
        );
    }

    fn lost(&mut self, spans: u64) {
        self.stats.drop_spans(spans);
        if let Some(lost) = &mut self.lost_since_failure {
            *lost += spans;
        }
    }
}

/// So that the sidecars of a cluster do not come together.
fn with_jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
