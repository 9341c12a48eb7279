//! What became of resources in sidecars: the resources there are, folded from the store, and what sidecars say of
//! them, folded from their streams. No I/O, no clock.
//!
//! A sidecar counts while its stream is open, and only for resources of its own namespace that are for its app.

mod count;
mod table;

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use trilby_crds::ResourceStatus;
use trilby_proto::trilby::operator::v1::ResourceState;

pub(crate) use table::{Acceptance, Known, Version};

use crate::{
    metrics::Metrics,
    resource::{Key, Kind},
};
use table::{SidecarId, Table};

/// Identifies a resource across kinds.
pub(crate) type Id = (Kind, Key);

/// What is known, shared by those who learn it and the one who writes it down. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reports(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    /// Something changed since it was last asked for.
    changed: Notify,
    /// Whether this replica is the one that counts.
    counting: watch::Sender<bool>,
    metrics: Metrics,
}

/// One sidecar's stream of reports; when it is dropped the sidecar counts no more.
pub(crate) struct Sidecar {
    reports: Reports,
    id: SidecarId,
}

impl Reports {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            changed: Notify::new(),
            counting: watch::Sender::new(false),
            metrics,
        }))
    }

    /// Whether this replica counts from now on. Sidecars are to report to one replica, or nobody had the whole sum.
    pub(crate) fn set_counting(&self, counting: bool) {
        self.0.counting.send_replace(counting);
    }

    /// Whether this replica counts, as it changes.
    pub(crate) fn counting(&self) -> watch::Receiver<bool> {
        self.0.counting.subscribe()
    }

    /// A resource is there, or changed.
    pub(crate) fn know(&self, id: &Id, resource: Known) {
        self.change(|table| table.know(id, resource));
    }

    /// Whether a resource can be served is known, or changed.
    pub(crate) fn accept(&self, id: &Id, acceptance: Acceptance) {
        self.change(|table| table.accept(id, acceptance));
    }

    /// Of the kind there are no others than these.
    pub(crate) fn retain(&self, kind: Kind, keys: &HashSet<Key>) {
        self.change(|table| table.retain(kind, keys));
    }

    /// A resource is gone.
    pub(crate) fn forget(&self, id: &Id) {
        self.change(|table| table.forget(id));
    }

    /// What its status says by now.
    pub(crate) fn written(&self, id: &Id, status: ResourceStatus) {
        self.0.table.lock().written(id, status);
    }

    /// A sidecar begins to report.
    pub(crate) fn connect(&self, namespace: &str, app_id: &str) -> Sidecar {
        self.0.metrics.reporting_sidecars.inc();
        let id = self.change(|table| table.connect(namespace, app_id));
        Sidecar {
            reports: self.clone(),
            id,
        }
    }

    /// The resources whose status may have changed since the last call.
    pub(crate) fn take_changes(&self) -> HashSet<Id> {
        self.0.table.lock().take_changes()
    }

    /// From now on every resource counts as changed.
    pub(crate) fn touch_all(&self) {
        self.change(Table::touch_all);
    }

    /// Returns when there is something to take.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// What the resource is and what its status is to say now; `None` when there is no such resource.
    pub(crate) fn status(&self, id: &Id) -> Option<(Known, ResourceStatus)> {
        self.0.table.lock().status(id)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.0.table.lock();
        let result = change(&mut table);
        if table.has_changes() {
            self.0.changed.notify_one();
        }
        result
    }
}

impl Sidecar {
    /// Takes what the sidecar says.
    pub(crate) fn take(&self, states: Vec<ResourceState>) {
        self.reports.change(|table| {
            for state in states {
                table.take(self.id, state);
            }
        });
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.reports.0.metrics.reporting_sidecars.dec();
        self.reports.change(|table| table.disconnect(self.id));
    }
}

#[cfg(test)]
mod tests;
