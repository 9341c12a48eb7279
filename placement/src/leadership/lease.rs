//! Leadership by a Kubernetes Lease: for clusters in which replicas cannot reach each other, or whose operators would
//! rather look at one object.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trilby_lease::{Contender, Sight, Standing};

use super::{Role, Source, Tenure};

/// The Lease's name, in the control plane's namespace.
const LEASE: &str = "placement.dapr.io";

/// Annotation of the Lease: where sidecars find its holder, as `host:port`.
const ADDRESS: &str = "placement.dapr.io/address";

/// How long a leader that stops waits to be asked to give the lease back.
const DISMISSAL: Duration = Duration::from_secs(3);

/// What standing for the Lease needs to know.
pub(crate) struct LeaseConfig {
    /// Where the Lease is.
    pub namespace: String,
    /// This replica.
    pub id: String,
    /// Where sidecars find it.
    pub address: String,
    /// How long sidecars are promised that they may serve.
    pub promise: Duration,
}

/// The one task that looks at the Lease.
pub(crate) struct LeaseElector {
    contender: Contender,
    times: Times,
    roles: watch::Sender<Role>,
    tenure: Option<Tenure>,
    resign: CancellationToken,
    /// What was wrong with the last look.
    trouble: Option<String>,
}

/// All follow from what sidecars are promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// How long the Lease lasts: twice a promise, in whole seconds.
    lease: Duration,
    /// How long a leader leads, and answers beats, without having renewed: so long that a promise made at its end is over
    /// when the Lease is, by clocks that run apart by a tenth.
    tenure: Duration,
    /// From one look at the Lease to the next.
    look: Duration,
}

// === impl Times ===

impl Times {
    fn new(promise: Duration) -> Self {
        let twice = promise * 2;
        let lease = Duration::from_secs(twice.as_secs() + u64::from(twice.subsec_nanos() > 0));
        Self {
            lease,
            tenure: (lease * 10 / 11).saturating_sub(promise),
            look: promise / 3,
        }
    }
}

// === impl LeaseElector ===

impl LeaseElector {
    /// A replica that stands for the Lease, and what comes of it. The cluster is that of `KUBECONFIG`, or the one that this
    /// process runs in.
    ///
    /// # Errors
    /// There is no cluster.
    pub(crate) async fn new(config: LeaseConfig) -> anyhow::Result<(Self, Source)> {
        let cluster = kube::Config::infer().await;
        let client = cluster
            .map_err(anyhow::Error::from)
            .and_then(|cluster| Ok(kube::Client::try_from(cluster)?))
            .context("--leader-election=lease needs a Kubernetes cluster")?;
        let times = Times::new(config.promise);
        let standing = Standing {
            name: LEASE,
            duration: times.lease,
            identity: format!("{}_{:016x}", config.id, rand::random::<u64>()),
            annotations: BTreeMap::from([(ADDRESS.to_owned(), config.address)]),
            absent: times.lease,
        };
        let (roles, receiver) = watch::channel(Role::Follower { leader: None });
        let resign = CancellationToken::new();
        let source = Source {
            roles: receiver,
            resign: resign.clone(),
        };
        let elector = Self {
            contender: Contender::new(client, &config.namespace, standing),
            times,
            roles,
            tenure: None,
            resign,
            trouble: None,
        };
        Ok((elector, source))
    }

    /// Stands until `stop`, then gives the lease back if it has it.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let resign = self.resign.clone();
        self.looks_until(stop.cancelled()).await;
        let dismissed = tokio::time::timeout(DISMISSAL, resign.cancelled());
        // As long as streams are open it is held.
        self.looks_until(async { drop(dismissed.await) }).await;
        if !resign.is_cancelled() {
            warn!("streams are still open: the next leader waits until they must have ended");
            return;
        }
        match self.contender.release().await {
            Ok(true) => info!(lease = LEASE, "lease given back"),
            Ok(false) => {}
            Err(error) => warn!(lease = LEASE, %error, "lease not given back, it ends by itself"),
        }
    }

    async fn looks_until(&mut self, interruption: impl Future<Output = ()>) {
        let mut interruption = std::pin::pin!(interruption);
        loop {
            let look = self.times.look;
            tokio::select! {
                () = &mut interruption => return,
                () = self.look() => {}
            }
            tokio::select! {
                () = &mut interruption => return,
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    async fn look(&mut self) {
        let asked = Instant::now();
        let sight = self.contender.attempt().await;
        let trouble = sight.as_ref().err().map(ToString::to_string);
        if let Some(reason) = trouble.as_ref().filter(|_| self.trouble != trouble) {
            warn!(lease = LEASE, reason, "cannot look at the lease");
        }
        self.trouble = trouble;
        match sight {
            Ok(Sight::Held) => self.hold(asked + self.times.tenure),
            Ok(Sight::NotOurs(said)) => self.follow(said.get(ADDRESS).cloned()),
            // Until its tenure is over it leads; somebody else may by then.
            Err(_) if self.tenure.as_ref().is_some_and(Tenure::is_over) => self.follow(None),
            Err(_) => {}
        }
    }

    fn hold(&mut self, until: Instant) {
        match self.tenure.as_ref().filter(|tenure| !tenure.is_over()) {
            Some(tenure) => tenure.extend(until),
            None => {
                // Beats are answered for as long as it lasts.
                let tenure = Tenure::lasting(until, Duration::ZERO);
                self.tenure = Some(tenure.clone());
                self.roles.send_replace(Role::Leader(tenure));
            }
        }
    }

    fn follow(&mut self, leader: Option<String>) {
        if let Some(tenure) = self.tenure.take() {
            tenure.end();
        }
        self.roles.send_if_modified(|role| {
            let same = matches!(role, Role::Follower { leader: known } if *known == leader);
            if !same {
                *role = Role::Follower { leader };
            }
            !same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_made_at_the_end_of_a_tenure_is_over_before_the_lease() {
        for millis in [1000, 1500, 3000, 10_000] {
            let promise = Duration::from_millis(millis);
            let times = Times::new(promise);
            assert!(
                (times.tenure + promise) * 11 / 10 <= times.lease,
                "{times:?}"
            );
            assert!(
                times.look * 2 < times.tenure,
                "one look may fail: {times:?}"
            );
        }
        assert_eq!(
            Times::new(Duration::from_secs(3)).lease,
            Duration::from_secs(6)
        );
    }
}
