//! Whether sidecars talk to each other over mutual TLS, as the control plane's own Configuration says: watched, so that
//! no admission waits for the API server.

use std::{pin::pin, time::Duration};

use anyhow::Context;
use futures_util::StreamExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use trilby_crds::{GROUP, SYSTEM_CONFIGURATION, V1ALPHA1};

use trilby_webhook::Complaint;

/// What is true where nothing says otherwise.
const DEFAULT: bool = true;

/// Bound of asking the API server once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps the answer up to date.
pub(crate) struct SystemConfiguration {
    api: Api<DynamicObject>,
    mtls: watch::Sender<bool>,
    complaint: Complaint,
    /// Whether the list that is being read held the object.
    listed: bool,
}

impl SystemConfiguration {
    /// Of the control plane in this namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        // Not as its Rust type: an object that does not decode must not hide the rest of the watch.
        let kind = GroupVersionKind::gvk(GROUP, V1ALPHA1, "Configuration");
        let resource = ApiResource::from_gvk_with_plural(&kind, "configurations");
        Self {
            api: Api::namespaced_with(client, namespace, &resource),
            mtls: watch::Sender::new(DEFAULT),
            complaint: Complaint::default(),
            listed: false,
        }
    }

    /// Whether mutual TLS is on, with changes.
    pub(crate) fn mtls(&self) -> watch::Receiver<bool> {
        self.mtls.subscribe()
    }

    /// Follows the object until `cancel`; calls `known` once it was asked for the first time, with whatever outcome.
    pub(crate) async fn follow(
        mut self,
        known: impl FnOnce() + Send,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let config =
            watcher::Config::default().fields(&format!("metadata.name={SYSTEM_CONFIGURATION}"));
        let mut events = pin!(watcher(self.api.clone(), config).default_backoff());
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = self.ask() => known(),
        }
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = events.next() => match event.context("the watch ended")? {
                    Ok(event) => self.apply(event),
                    Err(error) => {
                        self.complaint.raise("cannot watch the system configuration, asking instead", &error);
                        self.ask().await;
                    }
                },
            }
        }
    }

    /// Reads the object now. Without rights to watch, this is all there is.
    async fn ask(&mut self) {
        match timeout(TIMEOUT, self.api.get_opt(SYSTEM_CONFIGURATION)).await {
            Ok(Ok(object)) => self.set(object.map_or(DEFAULT, |object| enabled(&object))),
            Ok(Err(error)) => self
                .complaint
                .raise("cannot read the system configuration", &error),
            Err(elapsed) => self
                .complaint
                .raise("cannot read the system configuration", &elapsed),
        }
    }

    fn apply(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listed = false,
            Event::InitApply(object) => {
                self.listed = true;
                self.set(enabled(&object));
            }
            Event::InitDone => {
                self.complaint.settle("watching the system configuration");
                if !self.listed {
                    self.set(DEFAULT);
                }
            }
            Event::Apply(object) => self.set(enabled(&object)),
            Event::Delete(_) => self.set(DEFAULT),
        }
    }

    fn set(&self, mtls: bool) {
        let changed = self
            .mtls
            .send_if_modified(|current| std::mem::replace(current, mtls) != mtls);
        if changed {
            info!(mtls, "the system configuration changed");
        }
    }
}

fn enabled(object: &DynamicObject) -> bool {
    let enabled = object.data.pointer("/spec/mtls/enabled");
    enabled
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{from_value, json};

    use super::enabled;

    fn object(spec: serde_json::Value) -> DynamicObject {
        from_value(json!({"metadata": {"name": "daprsystem"}, "spec": spec})).unwrap()
    }

    #[test]
    fn mtls_is_on_unless_switched_off() {
        assert!(!enabled(&object(json!({"mtls": {"enabled": false}}))));
        assert!(enabled(&object(json!({"mtls": {"enabled": true}}))));
    }

    #[test]
    fn what_does_not_say_is_on() {
        for spec in [
            json!(null),
            json!({}),
            json!({"mtls": {}}),
            json!({"mtls": {"enabled": "no"}}),
        ] {
            assert!(enabled(&object(spec)));
        }
    }
}
