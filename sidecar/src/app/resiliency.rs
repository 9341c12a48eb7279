//! Resiliency policies: those of the first load, each change from then on, and what of them is counted.

use std::sync::Arc;

use trilby_bootstrap::Process;
use trilby_crds::ResiliencySpec;
use trilby_resiliency::{Applied, Manifest, Observer, Resiliency, Subject};
use trilby_resources::{Resource, Resources};

use crate::metrics::{PolicyLabels, ResiliencyMetrics};

/// Counts what policies do.
#[derive(Debug)]
struct Counted(ResiliencyMetrics);

/// The policies of `resources`. What cannot be used is logged; its former version stays in force.
pub(super) fn start(
    process: &Process,
    resources: &Resources,
    metrics: ResiliencyMetrics,
) -> Resiliency {
    let resiliency = Resiliency::new(Arc::new(Counted(metrics)));
    let mut changes = resources.resiliencies();
    apply(&resiliency, &changes.borrow_and_update());
    let (followed, shutdown) = (resiliency.clone(), process.shutdown());
    process.spawn("resiliency", async move {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    shutdown.cancelled().await;
                    return Ok(());
                },
                () = shutdown.cancelled() => return Ok(()),
            }
            apply(&followed, &changes.borrow_and_update());
        }
    });
    resiliency
}

fn apply(resiliency: &Resiliency, resources: &[Resource<ResiliencySpec>]) {
    let manifests: Vec<Manifest<'_>> = resources
        .iter()
        .map(|resource| Manifest {
            name: &resource.name,
            namespace: &resource.namespace,
            spec: &resource.spec,
        })
        .collect();
    // What is refused has been logged, with each of its mistakes.
    resiliency.replace(&manifests);
}

impl Observer for Counted {
    fn loaded(&self, resource: &str, namespace: &str) {
        self.0.loaded(resource, namespace);
    }

    fn applied(&self, subject: &Subject, part: Applied) {
        self.0.executed(&labels(subject, part));
    }

    fn activated(&self, subject: &Subject, part: Applied) {
        self.0.activated(&labels(subject, part));
    }
}

fn labels(subject: &Subject, part: Applied) -> PolicyLabels<'_> {
    let (policy, status) = match part {
        Applied::Timeout => ("timeout", ""),
        Applied::Retry => ("retry", ""),
        Applied::Breaker(state) => ("circuitbreaker", state.name()),
    };
    PolicyLabels {
        name: &subject.resource,
        namespace: &subject.namespace,
        policy,
        flow_direction: subject.direction.name(),
        target: &subject.target,
        status,
    }
}
