//! Keeps the `caBundle` of one object true: at start, when the trust anchors change, and when something else resets it.
//!
//! A failure is told through readiness and tried again; it never ends the process, for that would not help.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::StreamExt;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
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

/// Bound of one write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the bundle is written again although nothing seems to have changed it: for want of rights to watch.
const SAFETY_NET: Duration = Duration::from_secs(300);
/// Pause after a write, so that two that disagree do not fight at full speed.
const PAUSE: Duration = Duration::from_secs(1);

/// An object of the cluster in which a webhook is registered.
pub trait Target: Send + Sync + 'static {
    /// Its type.
    type Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static;

    /// Its name.
    const NAME: &'static str;

    /// What is missing where [`Sight::Foreign`] is seen: `has no webhook x`.
    const MISSING: &'static str;

    /// What is to be thought of it while the trust anchors are `pem`.
    fn judge(&self, object: &Self::Object, pem: &[u8]) -> Sight;

    /// Makes it right.
    fn patch(&self, pem: &str) -> (PatchParams, Patch<Value>);
}

/// What is seen of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Our webhook is not registered in it.
    Foreign,
    /// Our webhook has another bundle, or another address.
    Wrong,
    /// All is well.
    Right,
}

/// Keeps one object.
pub struct Keeper<T: Target> {
    target: T,
    api: Api<T::Object>,
    bundle: watch::Receiver<Arc<TrustBundle>>,
    latch: Option<Latch>,
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
    /// That there is no such object.
    Absent,
    /// That it is there.
    There(Sight),
}

const RIGHT: Seen = Seen::There(Sight::Right);

/// Why the bundle could not be written.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("there are no trust anchors yet")]
    NoAnchors,
    #[error("{0} does not exist")]
    Absent(String),
    #[error("{0} {1}")]
    Foreign(String, &'static str),
    #[error("the API server did not answer within {}s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the API server refused: {0}")]
    Refused(kube::Error),
}

impl<T: Target> Keeper<T> {
    /// Writes what `bundle` has into an object that belongs to the whole cluster. `latch` is for a service that is of
    /// no use before.
    pub fn new(
        (target, client): (T, Client),
        bundle: watch::Receiver<Arc<TrustBundle>>,
        latch: Option<Latch>,
    ) -> Self {
        Self {
            target,
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
    ///
    /// # Errors
    /// Nobody tells the trust anchors any more.
    pub async fn keep(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", T::NAME));
        let mut events = pin!(watcher(self.api.clone(), config).default_backoff());
        let mut watching = Complaint::default();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = self.bundle.changed() => {
                    changed.context("nobody tells the trust anchors any more")?;
                    if self.seen == RIGHT {
                        self.seen = Seen::There(Sight::Wrong);
                    }
                    self.due = Instant::now();
                }
                event = events.next() => match event.context("the watch ended")? {
                    Ok(event) => {
                        watching.settle("watching where the webhook is registered");
                        self.observe(event);
                    }
                    Err(error) => watching.raise("cannot watch where the webhook is registered", &error),
                },
                () = sleep_until(self.due) => self.write().await,
            }
        }
    }

    fn observe(&mut self, event: Event<T::Object>) {
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
        if self.seen != before && self.seen != RIGHT {
            self.due = self.due.min(Instant::now() + PAUSE);
        }
    }

    fn judge(&self, object: &T::Object) -> Seen {
        let bundle = self.bundle.borrow();
        Seen::There(self.target.judge(object, bundle.pem().as_bytes()))
    }

    fn object(&self) -> String {
        format!("{} {}", T::Object::kind(&()), T::NAME)
    }

    async fn write(&mut self) {
        let pem = self.bundle.borrow_and_update().pem().to_owned();
        match self.try_write(&pem).await {
            Ok(()) => {
                if self.seen != RIGHT {
                    info!(object = self.object(), "wrote our trust anchors");
                }
                self.complaint
                    .settle("the webhook is registered with our trust anchors");
                self.latch.iter().for_each(Latch::ready);
                self.seen = RIGHT;
                self.backoff.reset();
                self.due = Instant::now() + SAFETY_NET;
            }
            Err(reason) => {
                if self.seen != RIGHT {
                    self.latch
                        .iter()
                        .for_each(|latch| latch.unready(reason.to_string()));
                }
                self.complaint.raise(
                    "cannot write our trust anchors where the webhook is registered",
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
            Seen::Absent => return Err(KeepError::Absent(self.object())),
            Seen::There(Sight::Foreign) => {
                return Err(KeepError::Foreign(self.object(), T::MISSING));
            }
            Seen::Nothing | Seen::There(Sight::Wrong | Sight::Right) => {}
        }
        let (params, patch) = self.target.patch(pem);
        let written = timeout(TIMEOUT, self.api.patch(T::NAME, &params, &patch)).await;
        written
            .map_err(|_elapsed| KeepError::Timeout)?
            .map_err(KeepError::Refused)?;
        Ok(())
    }
}
