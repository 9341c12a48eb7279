//! Evicts a pod: as a drain does, so that disruption budgets hold.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, EvictParams, Preconditions},
};
use tokio::time::timeout;
use tracing::{info, warn};

use super::ledger::{Candidate, Outcome};

/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// There is no such pod.
const NOT_FOUND: u16 = 404;
/// Others changed its disruption budget at the same moment, or another pod has the name now, of which the watch tells.
const CONFLICT: u16 = 409;
/// A disruption budget does not allow it.
const TOO_MANY_REQUESTS: u16 = 429;

/// Evicts the very pod that was looked at.
pub(super) async fn evict(client: Client, candidate: Candidate) -> (Candidate, Outcome) {
    let pods: Api<Pod> = Api::namespaced(client, &candidate.pod.namespace);
    let preconditions = Preconditions {
        uid: Some(candidate.uid.to_string()),
        resource_version: None,
    };
    let params = EvictParams {
        delete_options: Some(DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        }),
        ..EvictParams::default()
    };
    let (namespace, pod) = (&candidate.pod.namespace, &candidate.pod.name);
    let outcome = match timeout(TIMEOUT, pods.evict(pod, &params)).await {
        Ok(Ok(_)) => {
            info!(%namespace, %pod, "evicted a pod without sidecar, its controller makes it anew");
            Outcome::Evicted
        }
        Ok(Err(kube::Error::Api(status))) => match status.code {
            NOT_FOUND => Outcome::Gone,
            CONFLICT | TOO_MANY_REQUESTS => {
                info!(%namespace, %pod, reason = status.message, "not evicted for now");
                Outcome::Blocked
            }
            _ => {
                warn!(%namespace, %pod, reason = status.message, "cannot evict a pod without sidecar");
                Outcome::Failed
            }
        },
        Ok(Err(error)) => {
            warn!(%namespace, %pod, %error, "cannot evict a pod without sidecar");
            Outcome::Failed
        }
        Err(_elapsed) => {
            warn!(%namespace, %pod, "cannot evict a pod without sidecar: no answer within {TIMEOUT:?}");
            Outcome::Failed
        }
    };
    (candidate, outcome)
}
