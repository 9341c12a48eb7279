//! Resiliency policies: those of the first load, and each change from then on.

use std::sync::Arc;

use trilby_bootstrap::Process;
use trilby_crds::ResiliencySpec;
use trilby_resiliency::{Manifest, Observer, Resiliency};
use trilby_resources::{Resource, Resources};

/// The policies of `resources`. What cannot be used is logged; its former version stays in force.
pub(super) fn start(
    process: &Process,
    resources: &Resources,
    observer: Arc<dyn Observer>,
) -> Resiliency {
    let resiliency = Resiliency::new(observer);
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
