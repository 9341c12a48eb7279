//! Leadership by a Kubernetes Lease.
//!
//! Needs only `get`, `create` and `update` of the Lease. A holder is judged by our own clock: it has lost its lease
//! when the Lease has not changed for as long as it lasts, whatever times stand in it. [`Contender`] looks when its
//! caller says so; [`Elector`] looks by itself, and does the caller's work while it leads.

mod decision;
mod elector;

pub use elector::Elector;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;

use decision::{Candidate, Decision};

/// One request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The Lease, and who stands for it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The Lease's name, in the control plane's namespace.
    pub name: &'static str,
    /// How long it lasts without being renewed; whole seconds, a fraction counts as one.
    pub duration: Duration,
    /// This candidate; no other has this name, not even its next process.
    pub identity: String,
    /// What a holder says of itself, as annotations of the Lease.
    pub annotations: BTreeMap<String, String>,
    /// How long to wait before a Lease that is not there is created: somebody may have deleted it while it was held.
    pub absent: Duration,
}

/// One replica that stands for election.
pub struct Contender {
    api: Api<Lease>,
    name: &'static str,
    candidate: Candidate,
}

/// What a look at the Lease has shown, and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It is ours, renewed just now.
    Held,
    /// It is another's, or not yet to be had; with what its holder says of itself.
    NotOurs(BTreeMap<String, String>),
}

/// Why a look was in vain.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused, or was not reached.
    #[error("the API server: {}", reason(.0))]
    Api(#[from] kube::Error),
    /// It did not answer.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

// === impl Contender ===

impl Contender {
    /// A candidate in this namespace.
    pub fn new(client: Client, namespace: &str, standing: Standing) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: standing.name,
            candidate: Candidate::new(standing),
        }
    }

    /// One look at the Lease, and one write if it is ours to take or to renew.
    ///
    /// # Errors
    /// It is not known who holds it; what was written may have arrived.
    pub async fn attempt(&mut self) -> Result<Sight, LeaseError> {
        match in_time(self.look()).await {
            // Another candidate was faster; the next look tells.
            Err(LeaseError::Api(kube::Error::Api(status))) if status.code == CONFLICT => {
                Ok(Sight::NotOurs(BTreeMap::new()))
            }
            looked => looked,
        }
    }

    /// Gives the Lease back if it is ours, so that another replica need not wait for its end. Whether it was.
    ///
    /// # Errors
    /// It could not be given back, and ends by itself.
    pub async fn release(&self) -> Result<bool, LeaseError> {
        in_time(self.give_back()).await
    }

    async fn look(&mut self) -> kube::Result<Sight> {
        let lease = self.api.get_opt(self.name).await?;
        let said = lease
            .as_ref()
            .and_then(|it| it.metadata.annotations.clone());
        let post = PostParams::default();
        match self.candidate.decide(lease, Instant::now()) {
            Decision::Wait => return Ok(Sight::NotOurs(said.unwrap_or_default())),
            Decision::Create(lease) => self.api.create(&post, &lease).await?,
            Decision::Replace(lease) => self.api.replace(self.name, &post, &lease).await?,
        };
        Ok(Sight::Held)
    }

    async fn give_back(&self) -> kube::Result<bool> {
        let lease = self.api.get_opt(self.name).await?;
        let Some(lease) = lease.and_then(|lease| self.candidate.release(lease)) else {
            return Ok(false);
        };
        let post = PostParams::default();
        self.api.replace(self.name, &post, &lease).await?;
        Ok(true)
    }
}

async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(LeaseError::Late(REQUEST_TIMEOUT)),
    }
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

/// HTTP status of a write that came too late.
const CONFLICT: u16 = 409;
