//! Services whose workload needs them no more: it was disabled, has another app id, or has ended.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use tracing::info;

use super::{
    execute::Context,
    plan::service_key,
    workload::{WorkloadDocument, WorkloadKey, WorkloadKind},
};
use crate::{cluster, resource::Key};

/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The workload that a Service belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub kind: WorkloadKind,
    pub name: String,
    pub uid: String,
}

/// Whose a Service is, if it is a workload's of a kind that gets Services.
pub(super) fn owner(service: &Service) -> Option<Owner> {
    let owners = service.metadata.owner_references.iter().flatten();
    let owner = owners.clone().find(|it| it.controller == Some(true))?;
    Some(Owner {
        kind: WorkloadKind::named(&owner.api_version, &owner.kind)?,
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

impl Owner {
    /// How the reconciler knows it.
    pub(super) fn key(&self, service: &Key) -> WorkloadKey {
        WorkloadKey {
            kind: self.kind,
            key: Key {
                namespace: Arc::clone(&service.namespace),
                name: self.name.as_str().into(),
            },
        }
    }
}

/// Deletes the Service if its workload, as it is now, needs it no more. A workload that is gone takes it along by itself.
///
/// # Errors
/// The API server's reason, if it does not say or do what is asked.
pub(super) async fn clean(
    context: Arc<Context>,
    (key, service): (Key, Arc<Service>),
    owner: Owner,
) -> Result<(), String> {
    let resource = owner.kind.resource();
    let owners: Api<WorkloadDocument> =
        Api::namespaced_with(context.client.clone(), &key.namespace, &resource);
    let Some(workload) = answer(owners.get_opt(&owner.name)).await? else {
        return Ok(());
    };
    if kube::ResourceExt::uid(&workload).as_deref() != Some(&owner.uid)
        || needs(workload, owner.kind, &key)
    {
        return Ok(());
    }
    let services: Api<Service> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: service.metadata.uid.clone(),
        resource_version: service.metadata.resource_version.clone(),
    });
    answer(services.delete(&key.name, &params)).await?;
    let app_id = key.name.trim_end_matches("-dapr");
    let deleted = &context.metrics.services.deleted;
    deleted.with_label_values(&[app_id]).inc();
    info!(service = %key.name, workload = %owner.key(&key), "Service deleted: its workload needs it no more");
    Ok(())
}

fn needs(workload: WorkloadDocument, kind: WorkloadKind, service: &Key) -> bool {
    let workload = workload.into_enabled(kind);
    workload.as_ref().and_then(service_key).as_ref() == Some(service)
}

async fn answer<T>(asked: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| cluster::reason(&error)),
        Err(_elapsed) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(api_version: &str, kind: &str, controller: bool) -> Service {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": "cart", "uid": "u1", "controller": controller});
        serde_json::from_value(json!({"metadata": {"ownerReferences": [owner]}})).unwrap()
    }

    #[test]
    fn a_service_is_its_controllers() {
        let owner = owner(&service("apps/v1", "DaemonSet", true)).unwrap();
        assert_eq!(
            (owner.kind, owner.uid.as_str()),
            (WorkloadKind::DaemonSet, "u1")
        );
    }

    #[test]
    fn what_belongs_to_others_is_not_ours_to_delete() {
        for other in [
            service("apps/v1", "Deployment", false),
            service("apps/v2", "Deployment", true),
            service("example.com/v1", "Job", true),
            Service::default(),
        ] {
            assert_eq!(owner(&other), None);
        }
    }

    #[test]
    fn a_workload_needs_the_service_of_its_app_while_it_is_enabled() {
        let key = |name: &str| Key {
            namespace: "shop".into(),
            name: name.into(),
        };
        let workload = |enabled: &str| -> WorkloadDocument {
            serde_json::from_value(json!({
                "metadata": {"name": "cart", "namespace": "shop", "uid": "u1"},
                "spec": {"template": {"metadata": {"annotations": {
                    "dapr.io/enabled": enabled, "dapr.io/app-id": "cart",
                }}}},
            }))
            .unwrap()
        };
        let kind = WorkloadKind::Deployment;
        assert!(needs(workload("true"), kind, &key("cart-dapr")));
        assert!(!needs(workload("true"), kind, &key("till-dapr")));
        assert!(!needs(workload("false"), kind, &key("cart-dapr")));
    }
}
