//! The watchdog: pods that should have a sidecar and have none are deleted, so that their controllers make them anew.
//!
//! That happens to pods that were created while no injector answered. A pass does nothing before one does, and pods are
//! deleted one after the other, at a rate that users choose.

mod judgement;

use std::{fmt, num::NonZeroU32, pin::pin, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trilby_webhook::Complaint;

use crate::{
    cluster::{Scope, reason},
    metrics::{Metrics, WatchdogOutcome},
};
use judgement::{Judgement, judge};

/// The injector's pods.
const INJECTOR: &str = "app=dapr-sidecar-injector";
/// Pods that no injector saw, and that no watchdog looked at before.
const SUSPECTS: &str = "!dapr.io/sidecar-injected,!dapr.io/watchdog-patched";
/// Pods per page of the list: all pods of a cluster never stand in memory.
const PAGE: u32 = 100;
/// Pause before a pass that failed is tried again, as upstream's.
const RETRY: Duration = Duration::from_secs(5);
/// One request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Who labels, in the eyes of the API server.
const FIELD_MANAGER: &str = "dapr-operator";

/// How often the watchdog looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Until one pass succeeded.
    Once,
    /// For ever.
    Every(Duration),
}

/// What the watchdog may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// When it looks.
    pub interval: Interval,
    /// Pods that it deletes in a minute, evenly; `None`: any number.
    pub per_minute: Option<NonZeroU32>,
    /// Whether it labels pods that have a sidecar, so that it need not look at them again.
    pub labels: bool,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Watchdog {
    pub client: Client,
    pub scope: Scope,
    /// Where the injector runs.
    pub namespace: String,
    pub settings: WatchdogSettings,
    pub metrics: Metrics,
}

/// Why a pass was given up.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("no injector is ready: a pod that is made anew would have no sidecar either")]
    NoInjector,
    #[error("{0}: {1}")]
    Api(&'static str, String),
    #[error("{0}: the API server did not answer in time")]
    Timeout(&'static str),
}

impl Watchdog {
    /// Looks until `term` ends.
    pub(crate) async fn run(self, term: CancellationToken) {
        term.run_until_cancelled(self.look()).await;
    }

    async fn look(&self) {
        let mut complaint = Complaint::default();
        loop {
            let began = Instant::now();
            if let Err(error) = self.pass().await {
                complaint.raise("the watchdog could not look after pods", &error);
                sleep(RETRY).await;
                continue;
            }
            complaint.settle("the watchdog looks after pods again");
            match self.settings.interval {
                Interval::Once => return,
                Interval::Every(interval) => sleep_until(began + interval).await,
            }
        }
    }

    async fn pass(&self) -> Result<(), PassError> {
        self.find_injector().await?;
        let pods = self.pods(None);
        let mut page = ListParams::default().labels(SUSPECTS).limit(PAGE);
        let mut pace = Pace::new(self.settings.per_minute);
        loop {
            let list = request("listing pods", pods.list(&page)).await?;
            for pod in &list.items {
                self.treat(pod, &mut pace).await;
            }
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(()),
            }
        }
    }

    async fn find_injector(&self) -> Result<(), PassError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = ListParams::default().labels(INJECTOR);
        let injectors = request("looking for the injector", api.list(&list)).await?;
        let ready = |injector: &Deployment| {
            let status = injector.status.as_ref();
            status.and_then(|status| status.ready_replicas) > Some(0)
        };
        if injectors.items.iter().any(ready) {
            Ok(())
        } else {
            Err(PassError::NoInjector)
        }
    }

    /// One pod. What fails here is told, and does not keep the others waiting.
    async fn treat(&self, pod: &Pod, pace: &mut Pace) {
        let outcome = match judge(pod) {
            Judgement::NotOurs => return,
            Judgement::HasSidecar if !self.settings.labels => return,
            Judgement::HasSidecar => self.label(pod).await,
            Judgement::Unowned => {
                warn!(pod = %name(pod), "a pod has no sidecar and no controller that would make it anew: it is left");
                Ok(WatchdogOutcome::Unowned)
            }
            Judgement::WithoutSidecar => self.delete(pod, pace).await,
        };
        let outcome = outcome.unwrap_or_else(|error| {
            warn!(pod = %name(pod), %error, "the watchdog failed at a pod");
            WatchdogOutcome::Failed
        });
        self.metrics.watchdog(outcome);
    }

    async fn label(&self, pod: &Pod) -> Result<WatchdogOutcome, PassError> {
        let patch = json!({"metadata": {"labels": {"dapr.io/watchdog-patched": "true"}}});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let pods = self.pods(pod.namespace().as_deref());
        let (name, patch) = (pod.name_any(), Patch::Merge(patch));
        request("labelling", pods.patch(&name, &params, &patch)).await?;
        Ok(WatchdogOutcome::Labelled)
    }

    /// Deletes the very pod that was looked at, if it did not change since.
    async fn delete(&self, pod: &Pod, pace: &mut Pace) -> Result<WatchdogOutcome, PassError> {
        pace.wait().await;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: pod.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let pods = self.pods(pod.namespace().as_deref());
        request("deleting", pods.delete(&pod.name_any(), &params)).await?;
        info!(pod = %name(pod), "deleted a pod without a sidecar, its controller makes it anew");
        pace.count();
        Ok(WatchdogOutcome::Deleted)
    }

    fn pods(&self, namespace: Option<&str>) -> Api<Pod> {
        match (namespace, &self.scope) {
            (Some(namespace), _) => Api::namespaced(self.client.clone(), namespace),
            (None, Scope::All) => Api::all(self.client.clone()),
            (None, Scope::Namespace(namespace)) => Api::namespaced(self.client.clone(), namespace),
        }
    }
}

/// Keeps deletions apart.
struct Pace {
    gap: Duration,
    next: Instant,
}

impl Pace {
    fn new(per_minute: Option<NonZeroU32>) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            gap: per_minute.map_or(Duration::ZERO, |count| minute / count.get()),
            next: Instant::now(),
        }
    }

    async fn wait(&self) {
        sleep_until(self.next).await;
    }

    fn count(&mut self) {
        self.next = Instant::now() + self.gap;
    }
}

fn name(pod: &Pod) -> impl fmt::Display {
    let namespace = pod.namespace().unwrap_or_default();
    format!("{namespace}/{}", pod.name_any())
}

async fn request<T>(
    what: &'static str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, PassError> {
    match timeout(REQUEST_TIMEOUT, pin!(call)).await {
        Ok(answer) => answer.map_err(|error| PassError::Api(what, reason(&error))),
        Err(_elapsed) => Err(PassError::Timeout(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deletions_are_spread_over_the_minute() {
        let began = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(20));
        for _ in 0..21 {
            pace.wait().await;
            pace.count();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(60));
        let mut unbounded = Pace::new(None);
        for _ in 0..1000 {
            unbounded.wait().await;
            unbounded.count();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(60));
    }
}
