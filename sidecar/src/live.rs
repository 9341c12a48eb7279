//! Settings that follow the Configuration while the sidecar runs.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// A setting as it is now. Cheap to clone, and to read for each request.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// A setting that is `now`, until it is [set](Self::set).
    pub fn new(now: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(now)))
    }

    /// The setting now; a request that holds it is not touched by a change.
    pub fn now(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// Changes it, for every clone.
    pub fn set(&self, now: T) {
        self.0.store(Arc::new(now));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn a_change_is_seen_by_every_clone_and_by_no_request_under_way() {
        let setting = Live::new(1);
        let clone = setting.clone();
        let under_way = clone.now();
        setting.set(2);
        assert_eq!((**under_way, **clone.now()), (1, 2));
    }
}
