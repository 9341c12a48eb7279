//! What sources are told: to follow changes or not, and to look at everything now.

use tokio::sync::watch;

/// A source's side.
#[derive(Clone)]
pub(crate) struct Control {
    /// Counts requests to look at everything.
    reload: watch::Receiver<u64>,
    /// Whether changes are followed.
    following: watch::Receiver<bool>,
}

impl Control {
    pub(crate) fn new(reload: watch::Receiver<u64>, following: watch::Receiver<bool>) -> Self {
        Self { reload, following }
    }

    /// Returns when everything shall be looked at.
    ///
    /// # Cancel safety
    /// A request that was not returned is returned by the next call.
    pub(crate) async fn asked(&mut self) {
        if self.reload.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether changes are followed now.
    pub(crate) fn is_following(&self) -> bool {
        *self.following.borrow()
    }

    /// Runs what `begin` begins while changes are followed, from its beginning each time. Ends when that ends.
    pub(crate) async fn while_following<F: Future>(
        &mut self,
        mut begin: impl FnMut() -> F,
    ) -> F::Output {
        loop {
            self.until(true).await;
            tokio::select! {
                output = begin() => return output,
                () = self.until(false) => {}
            }
        }
    }

    async fn until(&self, following: bool) {
        let mut state = self.following.clone();
        if state.wait_for(|now| *now == following).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
