//! A cluster around the authority.

use std::{collections::BTreeMap, future::Future, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, ObjectReference, Pod},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{News, SurroundingsError, Tone};
use crate::rotation::{
    evidence::{HolderKey, holder_key},
    holders::{PodReader, Pods},
};

/// The Secret that news are about, and the ConfigMap that the status is in.
const BUNDLE: &str = "dapr-trust-bundle";

/// The ConfigMap in which replicas tell each other who trusts the next root.
const EVIDENCE: &str = "dapr-trust-evidence";

/// The most entries there. An object is at most 1 MiB; an entry is some 80 bytes, with what the API server keeps of it.
const MAX_SHARED: usize = 10_000;

/// The label of pods that the injector changed.
const INJECTED: &str = "dapr.io/sidecar-injected=true";

/// Pods that are read at once.
const PAGE: u32 = 250;

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest text of an event, in characters; the API server allows 1024 bytes.
const MAX_NOTE: usize = 500;

/// See the module.
pub(crate) struct KubernetesSurroundings {
    namespace: String,
    /// What this replica is called in events.
    replica: String,
    all_pods: Api<Pod>,
    own_pods: Api<Pod>,
    config_maps: Api<ConfigMap>,
    events: Api<Event>,
}

/// How a call failed.
enum CallError {
    /// Not allowed, or not there.
    Refused(String),
    Failed(String),
}

impl KubernetesSurroundings {
    pub(crate) fn new(client: &Client, namespace: &str, replica: String) -> Self {
        Self {
            namespace: namespace.to_owned(),
            replica,
            all_pods: Api::all(client.clone()),
            own_pods: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
        }
    }

    pub(super) async fn pods(&self) -> Result<Pods, SurroundingsError> {
        let mut reader = PodReader::default();
        let mut pods = Pods::default();
        let failed = |error: CallError| SurroundingsError::new("cannot list pods", error.text());
        let injected = ListParams::default().labels(INJECTED);
        match list(&self.all_pods, injected.clone(), &mut reader).await {
            // With rights in one namespace alone, there are no workloads elsewhere.
            Err(CallError::Refused(_)) => {
                let own = list(&self.own_pods, injected, &mut reader).await;
                pods.holders = own.map_err(failed)?;
            }
            listed => pods.holders = listed.map_err(failed)?,
        }
        let services = list(&self.own_pods, ListParams::default(), &mut reader).await;
        for service in services.map_err(failed)? {
            if !pods.holders.contains(&service) {
                pods.holders.push(service);
            }
        }
        pods.shared = self.shared().await?;
        Ok(pods)
    }

    async fn shared(&self) -> Result<BTreeMap<HolderKey, String>, SurroundingsError> {
        match call(self.config_maps.get(EVIDENCE)).await {
            Ok(found) => Ok(found.data.unwrap_or_default()),
            // An older chart: each replica knows what it heard itself.
            Err(CallError::Refused(_)) => Ok(BTreeMap::new()),
            Err(error) => Err(SurroundingsError::new("cannot read evidence", error.text())),
        }
    }

    pub(super) async fn share(
        &self,
        holders: &BTreeMap<HolderKey, String>,
    ) -> Result<(), SurroundingsError> {
        let room = MAX_SHARED.saturating_sub(self.shared().await?.len());
        let data: BTreeMap<_, _> = holders.iter().take(room).collect();
        self.patch(EVIDENCE, &json!({"data": data}), "cannot share evidence")
            .await
    }

    pub(super) async fn forget_shared(&self) -> Result<(), SurroundingsError> {
        self.patch(EVIDENCE, &json!({"data": null}), "cannot empty evidence")
            .await
    }

    pub(super) async fn publish_status(&self, yaml: &str) -> Result<(), SurroundingsError> {
        let patch = json!({"data": {"status": yaml}});
        self.patch(BUNDLE, &patch, "cannot publish the status")
            .await
    }

    async fn patch(
        &self,
        name: &str,
        patch: &serde_json::Value,
        what: &'static str,
    ) -> Result<(), SurroundingsError> {
        let parameters = PatchParams::default();
        let patch = Patch::Merge(patch);
        call(self.config_maps.patch(name, &parameters, &patch))
            .await
            .map(|_patched| ())
            .map_err(|error| SurroundingsError::new(what, error.text()))
    }

    pub(super) async fn tell(&self, news: &News) -> Result<(), SurroundingsError> {
        let now = Timestamp::now();
        // Replicas that learn the same within an hour say it once: the second one finds the name taken.
        let hour = now.as_second() / 3600;
        let id = holder_key(&format!("{} {} {hour}", news.reason, news.text));
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{BUNDLE}.{id}")),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: Some("Keep".to_owned()),
            reason: Some(news.reason.to_owned()),
            note: Some(news.text.chars().take(MAX_NOTE).collect()),
            type_: Some(news.tone.name().to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                name: Some(BUNDLE.to_owned()),
                namespace: Some(self.namespace.clone()),
                ..ObjectReference::default()
            }),
            reporting_controller: Some("dapr.io/sentry".to_owned()),
            reporting_instance: Some(self.replica.clone()),
            ..Event::default()
        };
        let parameters = PostParams::default();
        let create = async {
            match self.events.create(&parameters, &event).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                created => created.map(|_event| ()),
            }
        };
        call(create)
            .await
            .map_err(|error| SurroundingsError::new("cannot write an event", error.text()))
    }
}

impl Tone {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl CallError {
    fn text(self) -> String {
        match self {
            Self::Refused(text) | Self::Failed(text) => text,
        }
    }
}

/// The holders among the pods, page by page.
async fn list(
    api: &Api<Pod>,
    mut parameters: ListParams,
    reader: &mut PodReader,
) -> Result<Vec<crate::rotation::holders::PodHolder>, CallError> {
    parameters.limit = Some(PAGE);
    let mut holders = Vec::new();
    loop {
        let page = call(api.list(&parameters)).await?;
        holders.extend(page.items.iter().filter_map(|pod| reader.read(pod)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(holders),
        }
    }
}

async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(API_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
            Err(CallError::Refused(status.message.clone()))
        }
        Ok(Err(kube::Error::Api(status))) => Err(CallError::Failed(status.message.clone())),
        Ok(Err(error)) => Err(CallError::Failed(error.to_string())),
        Err(_elapsed) => Err(CallError::Failed("no answer in time".to_owned())),
    }
}
