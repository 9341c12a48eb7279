//! The limit on concurrent calls to the application.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for calls. Waiting for one is fair and ends with the caller.
#[derive(Debug, Clone)]
pub(super) struct Slots(Option<Arc<Semaphore>>);

impl Slots {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self(limit.map(|limit| Arc::new(Semaphore::new(limit))))
    }

    /// Takes a place; `None` when there is no limit.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let semaphore = self.0.clone()?;
        Some(
            semaphore
                .acquire_owned()
                .await
                .expect("the semaphore is never closed"),
        )
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Slots;

    #[tokio::test]
    async fn place_is_free_again_when_it_is_dropped() {
        let slots = Slots::new(Some(1));
        let place = slots.take().await;
        assert!(slots.take().now_or_never().is_none());
        drop(place);
        assert!(slots.take().now_or_never().is_some());
    }

    #[tokio::test]
    async fn no_limit_never_waits() {
        let slots = Slots::new(None);
        assert!(slots.take().await.is_none());
    }
}
