//! Whether the sidecar is ready, as its health routes say it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trilby_bootstrap::Readiness;

use crate::blocks::actors::ActorBlock;

/// What health routes answer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HealthView {
    readiness: Readiness,
    actors: ActorBlock,
    outbound: Arc<AtomicBool>,
}

impl HealthView {
    /// Ready when every latch of `readiness` is; outbound calls are possible once [`Self::open_outbound`] was
    /// called.
    pub fn new(readiness: Readiness, actors: ActorBlock) -> Self {
        Self {
            readiness,
            actors,
            outbound: Arc::default(),
        }
    }

    /// What is not ready yet, by name and reason.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.readiness.missing();
        if self.actors.awaits_placement() {
            missing.push("internal-placement-service: no stream to placement".to_owned());
        }
        missing
    }

    /// Whether calls to others can be made.
    pub fn outbound_ready(&self) -> bool {
        self.outbound.load(Ordering::Acquire)
    }

    /// Calls to others can be made from now on.
    pub fn open_outbound(&self) {
        self.outbound.store(true, Ordering::Release);
    }
}
