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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use tokio::sync::watch;
    use trilby_components::registry::{Arrivals, Registry};

    use super::Types;

    fn set(sender: &watch::Sender<Arrivals>, types: &[(&str, u64)]) {
        let types = types.iter();
        let types = types.map(|(name, count)| ((*name).to_owned(), *count));
        sender.send_replace(Arc::new(types.collect()));
    }

    #[tokio::test]
    async fn only_what_came_is_news() {
        let sender = watch::Sender::default();
        set(&sender, &[("state.a", 1)]);
        let mut types = Types {
            arrivals: Some(sender.subscribe()),
            known: Arrivals::default(),
        };
        let mut came = |sent: &[(&str, u64)]| {
            set(&sender, sent);
            types.news()
        };
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(came(&[("state.a", 1)]), names(&["state.a"]));
        assert_eq!(came(&[("state.a", 1), ("state.b", 2)]), names(&["state.b"]));
        assert_eq!(came(&[("state.b", 3)]), names(&["state.b"]));
        assert_eq!(came(&[]), names(&[]));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_source_nothing_ever_changes() {
        let mut types = Types::of(&Registry::in_memory());
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), types.changed());
        assert!(waited.await.is_err());
        assert!(types.news().is_empty());
    }
}
