//! Keeps the `caBundle` of the injector's own webhook configuration true: at start, when the trust anchors change, and
//! when something else resets it.
//!
//! A failure is told through readiness and tried again; it never ends the process, for that would not help.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::info;
use trilby_bootstrap::Latch;
use trilby_grpc::Backoff;
use trilby_identity::TrustBundle;

use crate::complaint::Complaint;

/// Name of the configuration, as charts make it.
const CONFIGURATION: &str = "dapr-sidecar-injector";
/// Name of our webhook in it.
const WEBHOOK: &str = "sidecar-injector.dapr.io";
/// Who owns `caBundle` in the eyes of the API server.
const FIELD_MANAGER: &str = "dapr-sidecar-injector";

/// Bound of one write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the bundle is written again although nothing seems to have changed it: for want of rights to watch.
const SAFETY_NET: Duration = Duration::from_secs(300);
/// Pause after a write, so that two that disagree do not fight at full speed.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps one configuration.
pub(crate) struct Keeper {
    api: Api<MutatingWebhookConfiguration>,
    bundle: watch::Receiver<Arc<TrustBundle>>,
    latch: Latch,
    complaint: Complaint,
    backoff: Backoff,
    /// When to write next.
    due: Instant,
    seen: Seen,
    /// Whether the list that is being read held the configuration.
    listed: bool,
}

/// What the watch knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing.
    Nothing,
    /// That there is no such configuration.
    Absent,
    /// That there is one without our webhook.
    Foreign,
    /// That our webhook has another bundle.
    Wrong,
    /// That all is well.
    Right,
}

/// Why the bundle could not be written.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("there are no trust anchors yet")]
    NoAnchors,
    #[error("MutatingWebhookConfiguration {CONFIGURATION} does not exist")]
    Absent,
    #[error("MutatingWebhookConfiguration {CONFIGURATION} has no webhook {WEBHOOK}")]
    Foreign,
    #[error("the API server did not answer within {}s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the API server refused: {0}")]
    Refused(kube::Error),
}

impl Keeper {
    /// Writes what `bundle` has.
    pub(crate) fn new(
        client: Client,
        bundle: watch::Receiver<Arc<TrustBundle>>,
        latch: Latch,
    ) -> Self {
        Self {
            api: Api::all(client),
            bundle,
            latch,
            complaint: Complaint::default(),
            backoff: Backoff::default(),
            due: Instant::now(),
            seen: Seen::Nothing,
            listed: false,
        }
    }

    /// Keeps it until `cancel`.
    pub(crate) async fn keep(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let config = watcher::Config::default().fields(&format!("metadata.name={CONFIGURATION}"));
        let mut events = pin!(watcher(self.api.clone(), config).default_backoff());
        let mut watching = Complaint::default();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = self.bundle.changed() => {
                    changed.context("nobody tells the trust anchors any more")?;
                    if self.seen == Seen::Right {
                        self.seen = Seen::Wrong;
                    }
                    self.due = Instant::now();
                }
                event = events.next() => match event.context("the watch ended")? {
                    Ok(event) => {
                        watching.settle("watching the webhook configuration");
                        self.observe(event);
                    }
                    Err(error) => watching.raise("cannot watch the webhook configuration", &error),
                },
                () = sleep_until(self.due) => self.write().await,
            }
        }
    }

    fn observe(&mut self, event: Event<MutatingWebhookConfiguration>) {
        let before = self.seen;
        match event {
            Event::Init => self.listed = false,
            Event::InitApply(object) => {
                self.listed = true;
                self.seen = self.judge(&object);
            }
            Event::InitDone if self.listed => {}
            Event::Apply(object) => self.seen = self.judge(&object),
            Event::InitDone | Event::Delete(_) => self.seen = Seen::Absent,
        }
        if self.seen != before && self.seen != Seen::Right {
            self.due = self.due.min(Instant::now() + PAUSE);
        }
    }

    fn judge(&self, object: &MutatingWebhookConfiguration) -> Seen {
        judge(object, self.bundle.borrow().pem().as_bytes())
    }

    async fn write(&mut self) {
        let pem = self.bundle.borrow_and_update().pem().to_owned();
        match self.try_write(&pem).await {
            Ok(()) => {
                if self.seen != Seen::Right {
                    info!("wrote our trust anchors into the webhook configuration");
                }
                self.complaint
                    .settle("the webhook configuration has our trust anchors");
                self.latch.ready();
                self.seen = Seen::Right;
                self.backoff.reset();
                self.due = Instant::now() + SAFETY_NET;
            }
            Err(reason) => {
                if self.seen != Seen::Right {
                    self.latch.unready(reason.to_string());
                }
                self.complaint.raise(
                    "cannot write our trust anchors into the webhook configuration",
                    &reason,
                );
                self.due = Instant::now() + self.backoff.pause();
            }
        }
    }

    async fn try_write(&self, pem: &str) -> Result<(), KeepError> {
        if pem.is_empty() {
            return Err(KeepError::NoAnchors);
        }
        match self.seen {
            Seen::Absent => return Err(KeepError::Absent),
            Seen::Foreign => return Err(KeepError::Foreign),
            Seen::Nothing | Seen::Wrong | Seen::Right => {}
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(patch(pem));
        let written = timeout(TIMEOUT, self.api.patch(CONFIGURATION, &params, &patch)).await;
        written
            .map_err(|_elapsed| KeepError::Timeout)?
            .map_err(KeepError::Refused)?;
        Ok(())
    }
}

/// Sets one field of one webhook, found by name. Written by hand, because the typed object would also set what it
/// requires of a complete webhook.
fn patch(pem: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION},
        "webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": STANDARD.encode(pem)}}],
    })
}

fn judge(object: &MutatingWebhookConfiguration, pem: &[u8]) -> Seen {
    let webhooks = object.webhooks.as_deref().unwrap_or_default();
    match webhooks.iter().find(|webhook| webhook.name == WEBHOOK) {
        None => Seen::Foreign,
        Some(webhook) => match &webhook.client_config.ca_bundle {
            Some(ByteString(bundle)) if bundle == pem => Seen::Right,
            _ => Seen::Wrong,
        },
    }
}

#[cfg(test)]
mod tests;
