//! Leadership by a Lease: one replica at a time manages the apps' Services.

use std::{collections::BTreeMap, future::Future, time::Duration};

use kube::Client;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trilby_lease::{Contender, LeaseError, Sight, Standing};
use uuid::Uuid;

use crate::cluster::reason;

/// The Lease's name, in the control plane's namespace.
const LEASE: &str = "operator.dapr.io";
/// How long a lease lasts without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two attempts to obtain or to renew.
const RETRY: Duration = Duration::from_secs(2);

/// Whether the leader's work needs an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// By the Lease `operator.dapr.io`.
    Lease,
    /// Every replica does it.
    Disabled,
}

/// One replica that stands for election.
pub(crate) struct Elector {
    contender: Contender,
}

impl Elector {
    /// A candidate under a name of its own, in the control plane's namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let identity = format!("{}_{}", trilby_bootstrap::net::hostname(), Uuid::new_v4());
        let standing = Standing {
            name: LEASE,
            duration: DURATION,
            identity,
            annotations: BTreeMap::new(),
            absent: Duration::ZERO,
        };
        Self {
            contender: Contender::new(client, namespace, standing),
        }
    }

    /// Does `work` whenever this replica leads; its token is cancelled when it leads no more. Ends at `shutdown`, with
    /// the lease given back, or with the first error of `work`.
    pub(crate) async fn run<F, Fut>(
        mut self,
        shutdown: CancellationToken,
        work: F,
    ) -> anyhow::Result<()>
    where
        F: Fn(CancellationToken) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.acquire() => {}
            }
            info!(lease = LEASE, "leading");
            let term = shutdown.child_token();
            let mut work = std::pin::pin!(work(term.clone()));
            tokio::select! {
                done = &mut work => done?,
                () = self.hold() => {
                    warn!(lease = LEASE, "leading no more: the lease could not be renewed");
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
                Err(reason) => warn!(lease = LEASE, reason, "cannot stand for election"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Renews the lease; returns when that did not work for too long, or another holds it.
    async fn hold(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < RENEW_DEADLINE {
            tokio::time::sleep(RETRY).await;
            match self.attempt().await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(reason) => warn!(lease = LEASE, reason, "cannot renew the lease"),
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, String> {
        match self.contender.attempt().await {
            Ok(sight) => Ok(sight == Sight::Held),
            Err(error) => Err(why(&error)),
        }
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    async fn release(&mut self) {
        match self.contender.release().await {
            Ok(true) => info!(lease = LEASE, "lease given back"),
            Ok(false) => {}
            Err(error) => warn!(
                lease = LEASE,
                reason = why(&error),
                "lease not given back, it ends by itself"
            ),
        }
    }
}

fn why(error: &LeaseError) -> String {
    match error {
        LeaseError::Api(error) => reason(error),
        late @ LeaseError::Late(_) => late.to_string(),
    }
}
