//! Pods that ask for a sidecar and have none: found, told of, and on demand made anew.
//!
//! ```text
//! pods (watch, pruned) ──▶ judgement (pure): lacking, and why ──▶ ledger (pure) ──▶ Events, metric, evictions
//!                              ▲ where the webhook is registered (watch)                ▲ only while this injector is ready
//! ```
//!
//! - One replica does it, the one that holds the Lease `injector.dapr.io`.
//! - A pod is evicted only if its controller makes it anew, and would get its sidecar then as far as can be told; as a drain
//!   does it, so that disruption budgets hold; at a bounded rate; one pod of an owner first (see [`owner`]).
//! - What asks for no sidecar is dropped as it is read, what has its sidecar is remembered by eight bytes.
//!
//! Deliberately absent: repair of pods without a controller, of Jobs (a pod that is taken from one counts as failed), and of
//! kinds that nobody says make their pods anew; and match conditions of users: what they leave out shows by a repair
//! without effect.

mod eviction;
mod judgement;
mod ledger;
mod metrics;
mod owner;
mod pod;
mod reconciler;
mod selection;
mod telling;

use std::{num::NonZeroU32, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::{Process, Readiness, net};
use trilby_events::Reporter;
use trilby_lease::Elector;
use uuid::Uuid;

use metrics::Metrics;
use reconciler::Term;

/// The Lease's name, in the control plane's namespace.
const LEASE: &str = "injector.dapr.io";

/// What becomes of pods without sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are told of.
    Warn,
    /// So many of them a minute are evicted, too.
    Repair(NonZeroU32),
}

/// Which pods are looked after, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unserved {
    /// What becomes of them.
    pub(crate) mode: Mode,
    /// The only namespace that is looked at; `None`: all.
    pub(crate) namespace: Option<String>,
}

/// Why a pod of this namespace would be refused, if it would.
pub(crate) type Refusals = Arc<dyn Fn(&Pod, &str) -> Option<String> + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Reconciler {
    client: Client,
    settings: Unserved,
    readiness: Readiness,
    reporter: Reporter,
    metrics: Metrics,
    refusal: Refusals,
}

impl Mode {
    /// Pods that are evicted in a minute, at most; `None`: none.
    fn repairs(self) -> Option<NonZeroU32> {
        match self {
            Self::Warn => None,
            Self::Repair(per_minute) => Some(per_minute),
        }
    }
}

impl Reconciler {
    /// Prepares it. The process has to be ready for pods to be evicted: its webhook answers then.
    ///
    /// # Errors
    /// If its metrics are there already.
    pub(crate) fn new(
        settings: Unserved,
        (client, process): (Client, &Process),
        refusal: Refusals,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client,
            settings,
            readiness: process.readiness().clone(),
            reporter: Reporter::new("dapr.io/injector", net::hostname()),
            metrics: Metrics::register(process.metrics())?,
            refusal,
        })
    }

    /// Stands for election in the control plane's namespace until `shutdown`, and looks after pods while it leads.
    pub(crate) async fn run(
        self,
        namespace: String,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let identity = format!("{}_{}", net::hostname(), Uuid::new_v4());
        let elector = Elector::new(self.client.clone(), &namespace, LEASE, identity);
        elector
            .run(shutdown, |term| async {
                Term::new(self.clone()).run(term).await;
                Ok(())
            })
            .await
    }
}
