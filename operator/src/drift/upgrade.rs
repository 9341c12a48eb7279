//! Brings definitions of the cluster to what this operator was built with.
//!
//! Nothing that an object uses is taken away: all objects of a kind are looked at right before its definition is
//! replaced. Who begins to use a field between these two is not protected.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::ObjectReference,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{
    TIMEOUT,
    compare::versions,
    difference::Difference,
    plan::{Change, Plan, manifest, plan},
    usage::used,
    verdict::{Verdict, changes, list},
};
use crate::{
    cluster::{is_status, reason},
    events::event,
};

/// Who applies definitions, in the eyes of the API server: not who keeps the webhook in one of them.
const MANAGER: &str = "dapr-operator-definitions";
/// Objects per page of a list: all objects of a kind never stand in memory.
const PAGE: u32 = 100;
/// Pages that are looked at before it is given up, 100,000 objects.
const PAGES: usize = 1_000;

/// What becomes of definitions that lack something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// What would be done is told.
    Plan,
    /// It is done.
    Apply,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Upgrader {
    pub client: Client,
    pub mode: Upgrade,
    /// Where the service is that converts.
    pub namespace: String,
}

/// Why an upgrade could not be tried.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error("{0}")]
    Api(String),
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
    #[error("it changed meanwhile")]
    Conflict,
    #[error("there are more than {} objects", PAGE as usize * PAGES)]
    TooMany,
}

impl Upgrader {
    /// Looks at one definition, and brings it about if it may. Gives what is in the cluster if that is new.
    pub(super) async fn look(
        &self,
        ours: &CustomResourceDefinition,
        found: Option<&DynamicObject>,
    ) -> (Verdict, Option<DynamicObject>) {
        let ended = self.try_look(ours, found).await;
        ended.unwrap_or_else(|error| match error {
            UpgradeError::Conflict => (Verdict::Changed, None),
            error => (Verdict::Failed(error.to_string()), None),
        })
    }

    async fn try_look(
        &self,
        ours: &CustomResourceDefinition,
        found: Option<&DynamicObject>,
    ) -> Result<(Verdict, Option<DynamicObject>), UpgradeError> {
        let spec = serde_json::to_value(&ours.spec).unwrap_or(Value::Null);
        let text = match plan(&spec, found.map(|found| &found.data["spec"])) {
            Plan::Leave => return Ok((Verdict::Current, None)),
            Plan::Refuse(losses) => {
                let why = format!("it would lose what others may use, {}", list(&losses));
                return Ok((Verdict::Refused(why), None));
            }
            Plan::Create => "creates it".to_owned(),
            Plan::Replace(change) => match self.user(ours, &spec, &change).await? {
                Some(why) => return Ok((Verdict::Refused(why), None)),
                None => changes(&change.gains, &change.losses),
            },
        };
        match self.mode {
            Upgrade::Plan => Ok((Verdict::Planned(text), None)),
            Upgrade::Apply => {
                let applied = self.apply(ours, found).await?;
                Ok((Verdict::Upgraded(text), Some(applied)))
            }
        }
    }

    /// The first object that would lose something, and what.
    async fn user(
        &self,
        ours: &CustomResourceDefinition,
        spec: &Value,
        change: &Change,
    ) -> Result<Option<String>, UpgradeError> {
        let concerned: BTreeSet<_> = change.losses.iter().map(|it| &it.version).collect();
        for version in versions(spec) {
            let name = version["name"].as_str().unwrap_or_default();
            if !concerned.iter().any(|it| *it == name) {
                continue;
            }
            let losses = change.losses.iter().filter(|it| it.version == name);
            let losses: Vec<Difference> = losses.cloned().collect();
            let schema = &version["schema"]["openAPIV3Schema"];
            let found = self.user_of(&resource(ours, name), schema, &losses).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn user_of(
        &self,
        resource: &ApiResource,
        schema: &Value,
        losses: &[Difference],
    ) -> Result<Option<String>, UpgradeError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let mut page = ListParams::default().limit(PAGE);
        for _ in 0..PAGES {
            let listed = request(api.list(&page)).await?;
            for object in &listed.items {
                if let Some(what) = used(&object.data, schema, losses) {
                    let namespace = object.namespace().unwrap_or_default();
                    let name = object.name_any();
                    return Ok(Some(format!("{namespace}/{name} uses {what}")));
                }
            }
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(None),
            }
        }
        Err(UpgradeError::TooMany)
    }

    async fn apply(
        &self,
        ours: &CustomResourceDefinition,
        found: Option<&DynamicObject>,
    ) -> Result<DynamicObject, UpgradeError> {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let manifest = manifest(ours, found, &self.namespace);
        let params = PatchParams::apply(MANAGER).force();
        request(api.patch(&ours.name_any(), &params, &Patch::Apply(&manifest))).await
    }

    /// Logs it, and makes an Event on the definition, if there is one.
    pub(super) async fn tell(&self, name: &str, definition: Option<&DynamicObject>, it: &Verdict) {
        let Some(news) = it.news() else { return };
        let note = news.note;
        match it {
            Verdict::Refused(_) => error!(definition = name, note, "definition not upgraded"),
            Verdict::Failed(_) => warn!(definition = name, note, "definition not upgraded"),
            Verdict::Planned(_) => info!(definition = name, note, "an upgrade is planned only"),
            _ => info!(definition = name, note, "definition upgraded"),
        }
        if let Some(definition) = definition {
            let event = event(reference(definition), news);
            trilby_events::tell(self.client.clone(), event).await;
        }
    }
}

fn resource(ours: &CustomResourceDefinition, version: &str) -> ApiResource {
    ApiResource {
        group: ours.spec.group.clone(),
        version: version.to_owned(),
        api_version: format!("{}/{version}", ours.spec.group),
        kind: ours.spec.names.kind.clone(),
        plural: ours.spec.names.plural.clone(),
    }
}

fn reference(definition: &DynamicObject) -> ObjectReference {
    ObjectReference {
        api_version: Some("apiextensions.k8s.io/v1".to_owned()),
        kind: Some("CustomResourceDefinition".to_owned()),
        name: definition.metadata.name.clone(),
        uid: definition.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

async fn request<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, UpgradeError> {
    match timeout(TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_status(&error, 409) => Err(UpgradeError::Conflict),
        Ok(Err(error)) => Err(UpgradeError::Api(reason(&error))),
        Err(_) => Err(UpgradeError::Timeout),
    }
}
