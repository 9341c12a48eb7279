//! The containers that Components declare: watched, so that no admission waits for the API server.
//!
//! Of a Component only its name, its scopes and the annotation are kept, and only of one that has the annotation.
//! While the list is not known, for want of rights for instance, the process is ready all the same: only pods that ask for
//! such containers are refused.

use std::{fmt::Display, pin::pin};

use anyhow::Context;
use futures_util::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::Latch;
use trilby_crds::{GROUP, V1ALPHA1};
use trilby_sidecar_args::annotation::COMPONENT_CONTAINER;
use trilby_webhook::Complaint;

use crate::injection::{Declaration, Declarations};

/// Components per page of a list: a whole list never stands in memory.
const PAGE: u32 = 100;

/// Keeps them up to date.
pub(crate) struct ComponentContainers {
    api: Api<DynamicObject>,
    known: watch::Sender<Declarations>,
    /// The list that is being read.
    listing: Declarations,
    listed: bool,
    complaint: Complaint,
}

impl ComponentContainers {
    /// Of this namespace, or of all.
    pub(crate) fn new(client: Client, namespace: Option<&str>) -> Self {
        let kind = GroupVersionKind::gvk(GROUP, V1ALPHA1, "Component");
        let resource = ApiResource::from_gvk_with_plural(&kind, "components");
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        Self {
            api,
            known: watch::Sender::new(Declarations::unknown("they were not listed yet")),
            listing: Declarations::default(),
            listed: false,
            complaint: Complaint::default(),
        }
    }

    /// What is known, with changes.
    pub(crate) fn known(&self) -> watch::Receiver<Declarations> {
        self.known.subscribe()
    }

    /// Follows all Components until `cancel`. `latch` is ready once they are listed, or cannot be.
    pub(crate) async fn follow(
        mut self,
        latch: Latch,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let config = watcher::Config::default().page_size(PAGE);
        let mut events = pin!(watcher(self.api.clone(), config).default_backoff());
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.next() => match event.context("the watch ended")? {
                    Ok(event) => {
                        self.apply(event);
                        if self.listed {
                            latch.ready();
                        }
                    }
                    Err(error) => self.fail(&error, &latch),
                },
            }
        }
    }

    fn apply(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listing = Declarations::default(),
            Event::InitApply(component) => note(&mut self.listing, &component, declaration),
            Event::InitDone => {
                self.complaint.settle("watching Components");
                self.listed = true;
                self.known.send_replace(std::mem::take(&mut self.listing));
            }
            Event::Apply(component) => self
                .known
                .send_modify(|known| note(known, &component, declaration)),
            Event::Delete(component) => self
                .known
                .send_modify(|known| note(known, &component, |_| None)),
        }
    }

    /// What is known stays in service.
    fn fail(&mut self, error: &watcher::Error, latch: &Latch) {
        let reason = reason(error);
        if !self.listed {
            latch.ready();
            let unknown = Declarations::unknown(reason.to_string());
            self.known.send_replace(unknown);
        }
        self.complaint.raise(
            "cannot watch Components; pods that ask for the containers they declare are refused until they are known",
            &reason,
        );
    }
}

fn note(
    known: &mut Declarations,
    component: &DynamicObject,
    declaration: impl Fn(&DynamicObject) -> Option<Declaration>,
) {
    let namespace = component.namespace().unwrap_or_default();
    let name = component.name_any();
    known.set((&namespace, &name), declaration(component));
}

fn declaration(component: &DynamicObject) -> Option<Declaration> {
    let json = component.annotations().get(COMPONENT_CONTAINER)?;
    let scopes = component.data.get("scopes").and_then(Value::as_array);
    let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
    (!json.is_empty()).then(|| Declaration::read(json, scopes.map(str::to_owned).collect()))
}

/// Without the words that the watcher puts before it.
fn reason(error: &watcher::Error) -> &dyn Display {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
            if !status.message.is_empty() =>
        {
            &status.message
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn component(annotations: &serde_json::Value, scopes: &serde_json::Value) -> DynamicObject {
        from_value(json!({
            "metadata": {"name": "store", "namespace": "shop", "annotations": annotations},
            "spec": {}, "scopes": scopes,
        }))
        .unwrap()
    }

    #[test]
    fn only_components_with_the_annotation_are_kept() {
        let declares = json!({"dapr.io/component-container": "{\"image\": \"a\"}"});
        assert!(declaration(&component(&declares, &json!(["cart"]))).is_some());
        assert!(declaration(&component(&declares, &json!(null))).is_some());
        assert!(declaration(&component(&json!({}), &json!([]))).is_none());
        let empty = json!({"dapr.io/component-container": ""});
        assert!(declaration(&component(&empty, &json!([]))).is_none());
    }
}
