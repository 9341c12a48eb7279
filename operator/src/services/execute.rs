//! Carries out a plan.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client, api::PostParams};
use tracing::info;

use super::{
    plan::{Plan, Refusal, app_id, plan, service_name},
    workload::Workload,
};
use crate::{cluster, metrics::Metrics, settings::AppTls};

/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the world may change between looking and writing.
const ATTEMPTS: usize = 3;

/// What every execution needs.
pub(super) struct Context {
    pub client: Client,
    pub app_tls: AppTls,
    pub metrics: Metrics,
}

/// Why a workload has no Service yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Waits for a change by someone.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Worth trying again.
    #[error("{0}")]
    Failed(String),
}

/// A workload, the Service as it was last seen, and which other workloads need the same one.
pub(super) struct Task {
    pub workload: Workload,
    pub observed: Option<Arc<Service>>,
    pub rivals: Vec<Arc<str>>,
}

/// Brings the workload's Service about.
pub(super) async fn execute(context: &Context, task: Task) -> Result<(), Failure> {
    let name = service_name(app_id(&task.workload)?);
    let namespace = &task.workload.key.key.namespace;
    let api: Api<Service> = Api::namespaced(context.client.clone(), namespace);
    let mut observed = task.observed;
    for _ in 0..ATTEMPTS {
        let owns = |uid: &str| task.rivals.iter().any(|rival| **rival == *uid);
        let plan = plan(&task.workload, observed.as_deref(), context.app_tls, owns)?;
        let written = tokio::time::timeout(TIMEOUT, write(&api, &name, &plan)).await;
        match written {
            Ok(Ok(())) => {
                tell(context, &task.workload, &name, &plan);
                return Ok(());
            }
            // It is there already, or changed meanwhile, or was deleted meanwhile: look again.
            Ok(Err(error))
                if cluster::is_status(&error, 409) || cluster::is_status(&error, 404) => {}
            Ok(Err(error)) => return Err(Failure::Failed(cluster::reason(&error))),
            Err(_elapsed) => return Err(no_answer()),
        }
        observed = match tokio::time::timeout(TIMEOUT, api.get_opt(&name)).await {
            Ok(Ok(service)) => service.map(Arc::new),
            Ok(Err(error)) => return Err(Failure::Failed(cluster::reason(&error))),
            Err(_elapsed) => return Err(no_answer()),
        };
    }
    Err(Failure::Failed(
        "the Service changes faster than it can be written".to_owned(),
    ))
}

async fn write(api: &Api<Service>, name: &str, plan: &Plan) -> kube::Result<()> {
    let params = PostParams::default();
    match plan {
        Plan::Nothing => Ok(()),
        Plan::Create(service) => api.create(&params, service).await.map(drop),
        Plan::Replace(service) => api.replace(name, &params, service).await.map(drop),
    }
}

fn tell(context: &Context, workload: &Workload, service: &str, plan: &Plan) {
    let app_id = service.trim_end_matches("-dapr");
    let (done, counter) = match plan {
        Plan::Nothing => return,
        Plan::Create(_) => ("created", &context.metrics.services.created),
        Plan::Replace(_) => ("updated", &context.metrics.services.updated),
    };
    counter.with_label_values(&[app_id]).inc();
    info!(service, workload = %workload.key, "Service {done}");
}

fn no_answer() -> Failure {
    Failure::Failed(format!("no answer within {TIMEOUT:?}"))
}
