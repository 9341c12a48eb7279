//! The Service `<app-id>-dapr` of each Dapr-enabled workload: what sidecars find each other by.
//!
//! ```text
//! watch of workloads, Services ──▶ reconciler ──▶ plan (pure) ──▶ create or replace
//! ```
//!
//! Only workloads whose pod template is enabled are kept, and of those only what a Service needs. A Service is
//! deleted with its workload, by the cluster; and by us when its workload is disabled, gets another app id, or has ended.

mod cleanup;
mod execute;
mod plan;
mod reconciler;
mod workload;

pub(crate) use reconciler::Reconciler;
use workload::WorkloadKind;

/// Which workloads get a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconcile {
    /// Deployments and StatefulSets; DaemonSets and Jobs that ask for it.
    Workloads,
    /// And Rollouts of Argo Rollouts.
    WorkloadsAndRollouts,
    /// None.
    Off,
}

impl Reconcile {
    fn kinds(self) -> &'static [WorkloadKind] {
        match self {
            Self::Off => &[],
            Self::Workloads => WorkloadKind::OF_KUBERNETES,
            Self::WorkloadsAndRollouts => WorkloadKind::ALL,
        }
    }
}
