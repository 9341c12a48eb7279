//! Everything that the metrics port shows: what is registered, and what writes itself.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use prometheus::{Encoder, Registry, TextEncoder};

/// Metrics that write themselves in Prometheus' text format, a piece at a time, so that a scrape does not hold all of
/// them in memory.
pub trait Exposition: Send + Sync {
    /// The pieces of one scrape, each of whole lines.
    fn pieces(&self) -> Box<dyn Iterator<Item = Bytes> + Send>;
}

/// The metrics of one process. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    registry: Registry,
    expositions: Arc<RwLock<Vec<Arc<dyn Exposition>>>>,
}

/// One scrape.
pub struct Scrape {
    registered: Option<Registry>,
    current: Option<Box<dyn Iterator<Item = Bytes> + Send>>,
    rest: std::vec::IntoIter<Arc<dyn Exposition>>,
}

impl Metrics {
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn expose(&self, exposition: Arc<dyn Exposition>) {
        self.expositions.write().push(exposition);
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape {
            registered: Some(self.registry.clone()),
            current: None,
            rest: self.expositions.read().clone().into_iter(),
        }
    }
}

impl Iterator for Scrape {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(registry) = self.registered.take() {
            let text = registered(&registry);
            if !text.is_empty() {
                return Some(text);
            }
        }
        loop {
            if let Some(piece) = self.current.as_mut().and_then(Iterator::next) {
                return Some(piece);
            }
            self.current = Some(self.rest.next()?.pieces());
        }
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

fn registered(registry: &Registry) -> Bytes {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text) {
        // What could be written is still worth having.
        tracing::warn!(%error, "cannot write all metrics");
    }
    text.into()
}
