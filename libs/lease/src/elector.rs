//! A replica that works while it leads.

use std::{collections::BTreeMap, future::Future, time::Duration};

use kube::Client;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Contender, LeaseError, Sight, Standing};

/// How long a lease lasts without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The shortest pause between two attempts to obtain or to renew.
const RETRY: Duration = Duration::from_secs(2);
/// By how much of itself a pause is longer, at most: replicas that start together, or lose the API server together, do
/// not come back together. Go's controllers have the same.
const JITTER: f64 = 1.2;

/// One replica that stands for election, with the times of Go's controllers: a lease of 15 s, renewed every 2 to 4.4 s,
/// given up after 10 s in which it could not be.
pub struct Elector {
    contender: Contender,
    lease: &'static str,
}

impl Elector {
    /// A candidate for the Lease of this name in this namespace. No other has the identity, not even its next process.
    pub fn new(client: Client, namespace: &str, lease: &'static str, identity: String) -> Self {
        let standing = Standing {
            name: lease,
            duration: DURATION,
            identity,
            annotations: BTreeMap::new(),
            absent: Duration::ZERO,
        };
        Self {
            contender: Contender::new(client, namespace, standing),
            lease,
        }
    }

    /// Does `work` whenever this replica leads; its token is cancelled when it leads no more. Ends at `shutdown`, with
    /// the lease given back, or with the first error of `work`.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn run<F, Fut, E>(mut self, shutdown: CancellationToken, work: F) -> Result<(), E>
    where
        F: Fn(CancellationToken) -> Fut,
        Fut: Future<Output = Result<(), E>>,
    {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.acquire() => {}
            }
            info!(lease = self.lease, "leading");
            let term = shutdown.child_token();
            let mut work = std::pin::pin!(work(term.clone()));
            tokio::select! {
                done = &mut work => done?,
                () = self.hold() => {
                    warn!(lease = self.lease, "leading no more: the lease could not be renewed");
                    term.cancel();
                    work.await?;
                }
            }
        }
        self.release().await;
        Ok(())
    }

    /// Returns when this replica holds the lease.
    async fn acquire(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => warn!(lease = self.lease, %error, "cannot stand for election"),
            }
            sleep(pause(rand::random())).await;
        }
    }

    /// Renews the lease; returns when that did not work for too long, or another holds it. An attempt that is under way
    /// then is given up: it may last longer than what is left of the lease.
    async fn hold(&mut self) {
        let mut deadline = Instant::now() + RENEW_DEADLINE;
        while let Ok(began) = timeout_at(deadline, next_attempt()).await {
            match timeout_at(deadline, self.attempt()).await {
                // From its beginning: nobody has seen the lease renewed before.
                Ok(Ok(true)) => deadline = began + RENEW_DEADLINE,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => warn!(lease = self.lease, %error, "cannot renew the lease"),
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, LeaseError> {
        Ok(self.contender.attempt().await? == Sight::Held)
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    async fn release(&mut self) {
        match self.contender.release().await {
            Ok(true) => info!(lease = self.lease, "lease given back"),
            Ok(false) => {}
            Err(error) => {
                warn!(lease = self.lease, %error, "lease not given back, it ends by itself");
            }
        }
    }
}

/// When the pause before it is over.
async fn next_attempt() -> Instant {
    sleep(pause(rand::random())).await;
    Instant::now()
}

/// The pause for a random number from 0 to 1.
fn pause(random: f64) -> Duration {
    RETRY.mul_f64(1.0 + random * JITTER)
}

#[cfg(test)]
mod tests;
