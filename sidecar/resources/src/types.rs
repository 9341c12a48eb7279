//! Types of components that come while the sidecar runs.

use std::collections::BTreeSet;

use tokio::sync::watch;
use trilby_components::registry::{Arrivals, Registry};

/// What there is of them, and what was there when it was last asked.
pub(crate) struct Types {
    /// `None` when there are none, or will be no others.
    arrivals: Option<watch::Receiver<Arrivals>>,
    known: Arrivals,
}

impl Types {
    /// Everything that is there already is news.
    pub(crate) fn of(registry: &Registry) -> Self {
        let mut arrivals = registry.arrivals();
        if let Some(arrivals) = &mut arrivals {
            arrivals.mark_changed();
        }
        Self {
            arrivals,
            known: Arrivals::default(),
        }
    }

    /// Waits for a change; for ever if there can be none.
    ///
    /// # Cancel safety
    /// It may be dropped at any point.
    pub(crate) async fn changed(&mut self) {
        if let Some(arrivals) = &mut self.arrivals
            && arrivals.changed().await.is_ok()
        {
            return;
        }
        self.arrivals = None;
        std::future::pending().await
    }

    /// The types that came since it was last asked.
    pub(crate) fn news(&mut self) -> BTreeSet<String> {
        let Some(arrivals) = &mut self.arrivals else {
            return BTreeSet::new();
        };
        let now = arrivals.borrow_and_update().clone();
        let known = std::mem::replace(&mut self.known, now);
        let came = self.known.iter();
        let came = came.filter(|(name, count)| known.get(*name) != Some(count));
        came.map(|(name, _)| name.clone()).collect()
    }
}
