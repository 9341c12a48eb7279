//! Feeds the store: a watch per kind, and one task per secret that is referred to.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rand::Rng;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::JoinMap};
use trilby_bootstrap::Latch;

use super::{Fetched, SecretId, Store};
use crate::{
    cluster::Scope,
    resource::{Kind, SecretData},
    watch::{self, Waiting},
};

/// A secret that was read is read again after this time, give or take [`JITTER`]: so long a new password may take
/// to reach the sidecars.
const REREAD: Duration = Duration::from_secs(30);
/// A secret that could not be read is tried again sooner.
const RETRY: Duration = Duration::from_secs(5);
const JITTER: f64 = 0.2;
/// One request for a secret.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Secrets that are read at the same time.
const CONCURRENT_READS: usize = 8;

/// What the store is fed from.
pub(crate) struct Feed {
    pub client: Client,
    pub scope: Scope,
    pub store: Store,
    /// Set while all kinds are listed and their secrets were asked for.
    pub latch: Latch,
    /// Cancelled, once, when that is so for the first time.
    pub synced: CancellationToken,
}

impl Feed {
    /// Follows the API server until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let kinds = Kind::ALL.map(|kind| self.watch(kind).map(move |event| (kind, event)).boxed());
        let mut events = stream::select_all(kinds);
        let mut reads = Reads::new(self.client.clone());
        loop {
            let to_read = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some((kind, event)) = events.next() => self.store.observe(kind, event),
                Some((secret, outcome)) = reads.next() => {
                    self.read(&mut reads, secret, outcome);
                    Vec::new()
                }
            };
            for secret in to_read {
                let wanted = self.store.wanted_keys(&secret);
                reads.start(secret, wanted, Duration::ZERO);
            }
            self.tell_readiness();
        }
    }

    fn watch(&self, kind: Kind) -> impl futures_util::Stream<Item = watch::Event> + use<> {
        let latch = self.latch.clone();
        let waiting = match kind {
            Kind::Component | Kind::Configuration => Waiting::Latch(latch),
            _ => Waiting::Lenient(latch),
        };
        watch::resources(&self.client, &self.scope, kind, waiting)
    }

    fn read(&mut self, reads: &mut Reads, secret: SecretId, outcome: Fetched) {
        let pause = match &outcome {
            Fetched::Found(_) => REREAD,
            Fetched::Missing | Fetched::Failed(_) => RETRY,
        };
        if self.store.fetched(&secret, outcome) {
            let wanted = self.store.wanted_keys(&secret);
            reads.start(secret, wanted, jittered(pause));
        }
    }

    fn tell_readiness(&self) {
        if !self.synced.is_cancelled() && self.store.is_synced() {
            self.synced.cancel();
            self.latch.ready();
        }
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER))
}

/// Reads of secrets, at most one for each, now or later.
struct Reads {
    client: Client,
    slots: std::sync::Arc<Semaphore>,
    tasks: JoinMap<SecretId, Fetched>,
}

impl Reads {
    fn new(client: Client) -> Self {
        Self {
            client,
            slots: std::sync::Arc::new(Semaphore::new(CONCURRENT_READS)),
            tasks: JoinMap::new(),
        }
    }

    /// Reads a secret after a pause. Replaces a read of it that is under way or planned.
    fn start(&mut self, secret: SecretId, wanted: HashSet<Box<str>>, pause: Duration) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &secret.namespace);
        let (slots, name) = (std::sync::Arc::clone(&self.slots), secret.name.clone());
        self.tasks.spawn(secret, async move {
            tokio::time::sleep(pause).await;
            // The semaphore is never closed, so this only waits.
            let _slot = slots.acquire().await;
            match tokio::time::timeout(READ_TIMEOUT, api.get_opt(&name)).await {
                Ok(Ok(Some(secret))) => Fetched::Found(keep(secret, &wanted)),
                Ok(Ok(None)) => Fetched::Missing,
                Ok(Err(error)) => Fetched::Failed(crate::cluster::reason(&error)),
                Err(_elapsed) => Fetched::Failed(format!("no answer within {READ_TIMEOUT:?}")),
            }
        });
    }

    async fn next(&mut self) -> Option<(SecretId, Fetched)> {
        let (secret, outcome) = self.tasks.join_next().await?;
        let outcome = outcome.unwrap_or_else(|error| Fetched::Failed(error.to_string()));
        Some((secret, outcome))
    }
}

fn keep(secret: Secret, wanted: &HashSet<Box<str>>) -> SecretData {
    let data = secret.data.unwrap_or_default().into_iter();
    SecretData::keep(data.map(|(key, value)| (key, value.0)), |key| {
        wanted.contains(key)
    })
}
