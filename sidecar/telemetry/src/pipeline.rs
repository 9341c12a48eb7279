//! From settings to exporters that run, and from ended spans to their queues.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use rustls::crypto::CryptoProvider;
use tokio::sync::mpsc;

use crate::batch::{self, Batches};
use crate::export::{Exporter, otlp, stdout, zipkin};
use crate::resource::Resource;
use crate::sampler::Sampler;
use crate::settings::{InvalidSettings, Settings, Variables};
use crate::span::SpanData;
use crate::tracer::{Mode, Tracing};

/// Takes ended spans to every exporter. Never waits.
#[derive(Debug)]
pub(crate) struct Pipeline {
    sampler: Sampler,
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    exporter: &'static str,
    sender: mpsc::Sender<Arc<SpanData>>,
    stats: Arc<Stats>,
}

/// What became of recorded spans, over all exporters of a process.
#[derive(Debug, Default)]
pub struct Stats {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// Why there is no pipeline for a Configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// An address to export to is none.
    #[error("{what} {address:?}: {problem}")]
    Address {
        /// The setting.
        what: &'static str,
        /// What it holds.
        address: String,
        /// Why it is no address.
        problem: String,
    },
    /// The trust anchors for an exporter cannot be read.
    #[error("trust anchors in {path:?}: {problem}")]
    Anchors {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
}

/// Exporters, ready to run and to take the place of others.
pub struct Exports {
    mode: Mode,
    description: String,
    running: Pin<Box<dyn Future<Output = ()> + Send>>,
}

// === impl Exports ===

impl Exports {
    /// Exporters for the application `app_id`. Nothing runs and nobody is asked yet.
    ///
    /// # Errors
    /// Settings that cannot work, a file that cannot be read.
    pub fn new(
        settings: &Settings,
        (app_id, variables): (&str, &Variables),
        (provider, stats): (&Arc<CryptoProvider>, &Arc<Stats>),
    ) -> Result<Self, BuildError> {
        let sampler = Sampler::new(settings.rate);
        let resource = Arc::new(Resource::new(app_id, variables));
        let exporters = exporters(settings, &resource, provider)?;
        let (mut queues, mut running) = (Vec::new(), Vec::new());
        for exporter in exporters {
            let (sender, spans) = mpsc::channel(settings.batching.queue);
            queues.push(Queue {
                exporter: exporter.name(),
                sender,
                stats: Arc::clone(stats),
            });
            running.push(batch::run(
                exporter,
                Batches::new(spans, settings.batching),
                Arc::clone(stats),
            ));
        }
        let mode = match () {
            () if settings.rate == 0.0 => Mode::Off,
            () if queues.is_empty() && !settings.rate_given => Mode::Passing,
            () => Mode::Active(Arc::new(Pipeline { sampler, queues })),
        };
        Ok(Self {
            mode,
            description: sampler.to_string(),
            running: Box::pin(async move {
                join_all(running).await;
            }),
        })
    }

    /// The sampler in the words of OpenTelemetry's Go library.
    #[must_use]
    pub fn sampler(&self) -> &str {
        &self.description
    }

    /// Puts these exporters in the place of those before, and exports until they are replaced themselves and what
    /// they took is delivered or lost: the returned future must run for that. Cancel safe; spans not yet exported
    /// are lost then.
    pub fn install(self, tracing: &Tracing) -> impl Future<Output = ()> + Send + use<> {
        tracing.set(self.mode);
        self.running
    }
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

fn exporters(
    settings: &Settings,
    resource: &Arc<Resource>,
    provider: &Arc<CryptoProvider>,
) -> Result<Vec<Exporter>, BuildError> {
    let mut exporters = Vec::new();
    // A rate of zero switches off, whatever else is asked for.
    if settings.rate == 0.0 {
        return Ok(exporters);
    }
    if settings.stdout {
        exporters.push(Exporter::Stdout(stdout::Stdout));
    }
    if let Some(address) = &settings.zipkin {
        exporters.push(Exporter::Zipkin(zipkin::Zipkin::new(
            address, resource, provider,
        )?));
    }
    if let Some(settings) = &settings.otlp {
        exporters.push(Exporter::Otlp(Box::new(otlp::Otlp::new(
            settings, resource, provider,
        )?)));
    }
    Ok(exporters)
}

// === impl Pipeline ===

impl Pipeline {
    pub(crate) fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// Whether anybody takes spans.
    pub(crate) fn exports(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Hands a span to every exporter. One whose queue is full goes without.
    pub(crate) fn take(&self, span: SpanData) {
        let span = Arc::new(span);
        for queue in &self.queues {
            if queue.sender.try_send(Arc::clone(&span)).is_err() {
                queue.stats.drop_spans(1);
                tracing::debug!(
                    exporter = queue.exporter,
                    "span dropped: the exporter's queue is full"
                );
            }
        }
    }
}

// === impl Stats ===

impl Stats {
    /// Spans that an exporter's server took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that were lost: a full queue, or a server that did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn export_spans(&self, spans: u64) {
        self.exported.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn drop_spans(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }
}
