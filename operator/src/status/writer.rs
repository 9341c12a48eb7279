//! The leader's task that writes.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{Timestamp, Unit},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use trilby_crds::{GROUP, ResourceStatus};

use super::{
    event,
    schedule::{Outcome, Schedule},
};
use crate::{
    cluster::{is_status, reason},
    metrics::Metrics,
    reports::{Id, Known, Reports},
    resource::Document,
    watch,
};

/// Who owns the fields that are written.
const MANAGER: &str = "dapr-operator";
/// How long a new leader only listens: sidecars of the one before come within it, and what they say is no change.
const LISTEN: Duration = Duration::from_secs(15);
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Writes at the same time.
const CONCURRENCY: usize = 4;
/// Events in one round; the status says the rest.
const MOST_EVENTS: usize = 25;

/// What it takes to write statuses.
#[derive(Clone)]
pub(crate) struct Writer {
    pub client: Client,
    pub reports: Reports,
    pub metrics: Metrics,
}

/// A status as it is applied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a> {
    api_version: String,
    kind: &'a str,
    metadata: Meta<'a>,
    status: &'a ResourceStatus,
}

#[derive(Debug, Serialize)]
struct Meta<'a> {
    name: &'a str,
    /// A resource of the same name that took its place is another.
    uid: &'a str,
}

impl Writer {
    /// Writes for as long as `term` lasts.
    pub(crate) async fn run(self, term: CancellationToken) {
        let writing = async {
            tokio::time::sleep(LISTEN).await;
            // What the one before has not written yet.
            self.reports.touch_all();
            let mut schedule = Schedule::default();
            loop {
                self.wait(&mut schedule).await;
                let due = schedule.take(Instant::now());
                self.round(&mut schedule, due).await;
            }
        };
        term.run_until_cancelled(writing).await.unwrap_or(())
    }

    /// Returns when something is due.
    async fn wait(&self, schedule: &mut Schedule) {
        loop {
            schedule.changed(self.reports.take_changes(), Instant::now());
            let due = async {
                match schedule.next() {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = self.reports.changed() => {}
            }
        }
    }

    async fn round(&self, schedule: &mut Schedule, due: HashSet<Id>) {
        let tried = due.into_iter().map(|id| async {
            let tried = match schedule.is_unsupported(id.0, Instant::now()) {
                true => (Outcome::Unsupported(String::new()), Vec::new()),
                false => self.look(&id).await,
            };
            (id, tried)
        });
        let ended: Vec<_> = stream::iter(tried)
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut events = Vec::new();
        for (id, (outcome, told)) in ended {
            self.metrics.status_write(id.0, outcome.label());
            events.extend(told);
            let (kind, resource) = (id.0.name(), id.1.clone());
            if let Some(reason) = schedule.settle(id, outcome, Instant::now()) {
                warn!(kind, %resource, reason, "status not written");
            }
        }
        events.truncate(MOST_EVENTS);
        for event in events {
            trilby_events::tell(self.client.clone(), event).await;
        }
    }

    /// Brings one status about, and says which Events that is worth.
    async fn look(&self, id: &Id) -> (Outcome, Vec<Event>) {
        let Some((resource, mut status)) = self.reports.status(id) else {
            return (Outcome::Nothing, Vec::new());
        };
        if resource.status.as_ref() == Some(&status) {
            return (Outcome::Nothing, Vec::new());
        }
        date(&mut status);
        let outcome = match timeout(TIMEOUT, self.write(id, &resource, &status)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(format!("no answer within {TIMEOUT:?}")),
        };
        if outcome != Outcome::Written {
            return (outcome, Vec::new());
        }
        debug!(kind = id.0.name(), resource = %id.1, sidecars = status.sidecars, "status written");
        let events = event::transitions(id, &resource, &status);
        self.reports.written(id, status);
        (outcome, events)
    }

    async fn write(&self, (kind, key): &Id, resource: &Known, status: &ResourceStatus) -> Outcome {
        let api: Api<Document> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &watch::resource(*kind));
        let applied = Applied {
            api_version: format!("{GROUP}/{}", kind.version()),
            kind: kind.name(),
            metadata: Meta {
                name: &key.name,
                uid: &resource.version.uid,
            },
            status,
        };
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&applied);
        let error = match api.patch_status(&key.name, &params, &patch).await {
            Ok(_) => return Outcome::Written,
            Err(error) => error,
        };
        if is_status(&error, 403) {
            return Outcome::Unsupported(reason(&error));
        }
        // Another object took its place: that one's events come.
        if is_status(&error, 409) {
            return Outcome::Nothing;
        }
        if !is_status(&error, 404) {
            return Outcome::Failed(reason(&error));
        }
        // The same answer for an object that is gone and for one that can have no status.
        match api.get_opt(&key.name).await {
            Ok(Some(_)) => Outcome::Unsupported(format!(
                "the definition of {}.{GROUP} has no status subresource; apply the chart's to see in each resource \
                 what became of it",
                kind.plural()
            )),
            Ok(None) => Outcome::Nothing,
            Err(error) => Outcome::Failed(reason(&error)),
        }
    }
}

/// Dates the conditions that changed.
fn date(status: &mut ResourceStatus) {
    let now = Timestamp::now();
    let now = Time(now.round(Unit::Second).unwrap_or(now));
    for condition in &mut status.conditions {
        if condition.last_transition_time.0 == Timestamp::UNIX_EPOCH {
            condition.last_transition_time = now.clone();
        }
    }
}
