//! Leadership by a Lease: one replica at a time manages the apps' Services.
//!
//! Needs only `get`, `create` and `update` of the Lease. A holder is judged by our own clock: it has lost its lease
//! when the Lease has not changed for as long as it lasts, whatever times stand in it.

mod decision;

use std::{future::Future, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::cluster::{is_status, reason};

use decision::{Candidate, Decision};

/// The Lease's name, in the control plane's namespace.
const LEASE: &str = "operator.dapr.io";
/// How long a lease lasts without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two attempts to obtain or to renew.
const RETRY: Duration = Duration::from_secs(2);
/// One request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

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
    api: Api<Lease>,
    candidate: Candidate,
}

impl Elector {
    /// A candidate under a name of its own, in the control plane's namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let identity = format!("{}_{}", trilby_bootstrap::net::hostname(), Uuid::new_v4());
        Self {
            api: Api::namespaced(client, namespace),
            candidate: Candidate::new(identity, DURATION),
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

    /// One look at the lease, and one write if it is ours to take or to renew. Whether we hold it.
    async fn attempt(&mut self) -> Result<bool, String> {
        let held = tokio::time::timeout(REQUEST_TIMEOUT, async {
            let lease = self.api.get_opt(LEASE).await?;
            match self.candidate.decide(lease, Instant::now()) {
                Decision::Wait => Ok(false),
                Decision::Create(lease) => {
                    self.api.create(&PostParams::default(), &lease).await?;
                    Ok(true)
                }
                Decision::Replace(lease) => {
                    self.api
                        .replace(LEASE, &PostParams::default(), &lease)
                        .await?;
                    Ok(true)
                }
            }
        })
        .await;
        match held {
            Ok(Ok(held)) => Ok(held),
            // Another candidate was faster; the next look tells.
            Ok(Err(error)) if is_status(&error, 409) => Ok(false),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_elapsed) => Err(format!("no answer within {REQUEST_TIMEOUT:?}")),
        }
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    async fn release(&mut self) {
        let released = tokio::time::timeout(REQUEST_TIMEOUT, async {
            let lease = self.api.get_opt(LEASE).await?;
            if let Some(lease) = lease.and_then(|lease| self.candidate.release(lease)) {
                self.api
                    .replace(LEASE, &PostParams::default(), &lease)
                    .await?;
                info!(lease = LEASE, "lease given back");
            }
            kube::Result::Ok(())
        })
        .await;
        if let Ok(Err(error)) = released {
            warn!(
                lease = LEASE,
                reason = reason(&error),
                "lease not given back, it ends by itself"
            );
        }
    }
}
