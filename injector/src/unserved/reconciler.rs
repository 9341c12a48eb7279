//! Follows the pods of the cluster and does what the ledger says, for one term of leadership.

use std::{collections::HashMap, pin::pin, time::Duration};

use futures_util::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered},
};
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use trilby_webhook::{Complaint, Target as _};

use super::{
    Reconciler,
    eviction::evict,
    judgement::{Bench, Look},
    ledger::{Candidate, Key, Ledger, News, Next, Outcome},
    pod::WatchedPod,
    selection::{Labels, Selection, named},
    telling::told,
};
use crate::{pace::Pace, registration::Registration};

/// Pods per page of the list: all pods of a cluster never stand in memory.
const PAGE: u32 = 100;
/// Events that are created at the same time.
const TELLING: usize = 8;
/// Events a minute, at most: as many as etcd takes without notice.
const TOLD_PER_MINUTE: u32 = 1800;
/// Evictions at the same time: as many as keep a pace of 1,000 a minute while the API server takes a second for each.
const EVICTING: usize = 16;
/// How often is asked whether the injector is ready, while it is not.
const READY: Duration = Duration::from_secs(1);
/// How long labels of a namespace are believed, and how often pods are looked at anew where a selector needs them:
/// nobody says when they change.
const NAMESPACES: Duration = Duration::from_secs(600);
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is known and under way in one term.
pub(super) struct Term {
    reconciler: Reconciler,
    ledger: Ledger,
    telling: FuturesUnordered<BoxFuture<'static, ()>>,
    evicting: FuturesUnordered<BoxFuture<'static, (Candidate, Outcome)>>,
    pace: Pace,
    /// What the webhook is registered for; `None`: nothing, or not known yet.
    selection: Option<Selection>,
    /// Whether the list that is being read held the webhook.
    listed: bool,
    /// Whether it is known what is registered.
    begun: bool,
    namespaces: HashMap<String, Option<Labels>>,
    complaint: Complaint,
}

impl Term {
    pub(super) fn new(reconciler: Reconciler) -> Self {
        let now = Instant::now();
        let per_minute = reconciler.settings.mode.repairs();
        let pace = per_minute.map(|per_minute| Pace::per_minute(per_minute, now));
        let told = const { std::num::NonZeroU32::new(TOLD_PER_MINUTE).expect("it is not zero") };
        Self {
            ledger: Ledger::new(pace),
            telling: FuturesUnordered::new(),
            evicting: FuturesUnordered::new(),
            pace: Pace::per_minute(told, now),
            selection: None,
            listed: false,
            begun: false,
            namespaces: HashMap::new(),
            complaint: Complaint::default(),
            reconciler,
        }
    }

    /// Works until `term` ends.
    pub(super) async fn run(mut self, term: CancellationToken) {
        let mut registrations = pin!(self.registrations());
        // Nothing can be said of a pod before it is known what is registered.
        let mut pods: BoxStream<'static, watcher::Result<Event<WatchedPod>>> =
            futures_util::stream::pending().boxed();
        let mut anew: Option<Instant> = None;
        loop {
            let wake = self.act();
            let wake = wake.into_iter().chain(anew).min();
            tokio::select! {
                () = term.cancelled() => break,
                Some(event) = registrations.next() => if self.registered(event) {
                    pods = self.pods();
                    anew = self.anew();
                },
                Some(event) = pods.next() => self.observe(event).await,
                Some(()) = self.telling.next() => {}
                Some((candidate, outcome)) = self.evicting.next() => {
                    self.reconciler.metrics.evicted(outcome);
                    self.ledger.evicted(&candidate, outcome, Instant::now());
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if anew.is_some_and(|anew| anew <= Instant::now()) {
                        self.namespaces.clear();
                        pods = self.pods();
                        anew = self.anew();
                    }
                }
            }
        }
        self.reconciler.metrics.forget_pods();
    }

    /// Begins whatever is due, and says when there may be more.
    fn act(&mut self) -> Option<Instant> {
        for (namespace, reason, number) in self.ledger.counts().take_changes() {
            self.reconciler.metrics.pods(&namespace, reason, number);
        }
        let (told, evicted) = (self.tell(), self.repair());
        told.into_iter().chain(evicted).min()
    }

    fn tell(&mut self) -> Option<Instant> {
        while self.telling.len() < TELLING {
            let now = Instant::now();
            if self.pace.next() > now {
                return Some(self.pace.next());
            }
            let news = self.ledger.next_news()?;
            if let News::InVain {
                namespace,
                owner,
                rest,
            } = &news
            {
                self.reconciler.metrics.in_vain();
                warn!(%namespace, kind = owner.kind, owner = owner.name, ?rest, "repair has no effect");
            }
            self.pace.take(now);
            let (client, reporter) = (&self.reconciler.client, &self.reconciler.reporter);
            let telling = told(client.clone(), reporter.clone(), news);
            self.telling.push(telling.boxed());
        }
        None
    }

    fn repair(&mut self) -> Option<Instant> {
        while self.evicting.len() < EVICTING {
            let now = Instant::now();
            if !self.reconciler.readiness.is_ready() {
                return self.reconciler.settings.mode.repairs().map(|_| now + READY);
            }
            match self.ledger.next_repair(now) {
                Next::Evict(candidate) => {
                    let evicting = evict(self.reconciler.client.clone(), candidate);
                    self.evicting.push(evicting.boxed());
                }
                Next::At(wake) => return Some(wake),
                Next::Nothing => return None,
            }
        }
        None
    }

    fn registrations(
        &self,
    ) -> impl Stream<Item = watcher::Result<Event<MutatingWebhookConfiguration>>> + use<> {
        let api = Api::all(self.reconciler.client.clone());
        let name = format!("metadata.name={}", Registration::NAME);
        let config = watcher::Config::default().fields(&name);
        watcher(api, config).default_backoff()
    }

    fn pods(&self) -> BoxStream<'static, watcher::Result<Event<WatchedPod>>> {
        let client = self.reconciler.client.clone();
        let api = match &self.reconciler.settings.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let config = watcher::Config::default().page_size(PAGE);
        watcher(api, config).default_backoff().boxed()
    }

    fn anew(&self) -> Option<Instant> {
        let needed = self.selection.as_ref()?.needs_namespace_labels();
        needed.then(|| Instant::now() + NAMESPACES)
    }

    /// Whether pods have to be looked at anew.
    fn registered(&mut self, event: watcher::Result<Event<MutatingWebhookConfiguration>>) -> bool {
        let seen = match event {
            Ok(Event::Init) => {
                self.listed = false;
                return false;
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                self.listed = true;
                Selection::of(&object)
            }
            Ok(Event::InitDone) if self.listed => return false,
            Ok(Event::InitDone | Event::Delete(_)) => None,
            Err(error) => {
                let what = "cannot watch where the webhook is registered";
                self.complaint.raise(what, &error);
                return false;
            }
        };
        let first = !std::mem::replace(&mut self.begun, true);
        let changed = self.selection != seen;
        self.selection = seen;
        first || changed
    }

    async fn observe(&mut self, event: watcher::Result<Event<WatchedPod>>) {
        match event {
            Ok(Event::Init) => self.ledger.list_begins(),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => self.see(&pod).await,
            Ok(Event::InitDone) => {
                self.ledger.list_ends();
                self.complaint.settle("looking after pods without sidecar");
            }
            Ok(Event::Delete(pod)) => self.ledger.gone(&key(&pod), &uid(&pod)),
            Err(error) => self.complaint.raise("cannot watch pods", &error),
        }
    }

    async fn see(&mut self, pod: &WatchedPod) {
        let namespace = pod.namespace().unwrap_or_default();
        let labels = match pod.is_annotated() {
            true => self.labels_of(&namespace).await,
            false => None,
        };
        let refusal = |pod: &Pod| (self.reconciler.refusal)(pod, &namespace);
        let bench = Bench {
            selection: self.selection.as_ref(),
            namespace: labels.as_ref(),
            refusal: &refusal,
        };
        let look = Look::at(pod, &bench);
        self.ledger.see(key(pod), &uid(pod), look, Instant::now());
    }

    /// The labels of a namespace, as far as the selector needs them; `None` where they cannot be read.
    async fn labels_of(&mut self, namespace: &str) -> Option<Labels> {
        let selection = self.selection.as_ref()?;
        if !selection.needs_namespace_labels() {
            return Some(named(namespace));
        }
        if let Some(known) = self.namespaces.get(namespace) {
            return known.clone();
        }
        let api: Api<Namespace> = Api::all(self.reconciler.client.clone());
        let labels = match timeout(TIMEOUT, api.get_metadata(namespace)).await {
            Ok(Ok(object)) => Some(object.metadata.labels.unwrap_or_default()),
            Ok(Err(error)) => {
                warn!(namespace, %error, "cannot read the labels of a namespace");
                None
            }
            Err(_elapsed) => {
                warn!(
                    namespace,
                    "cannot read the labels of a namespace: no answer within {TIMEOUT:?}"
                );
                None
            }
        };
        self.namespaces.insert(namespace.to_owned(), labels.clone());
        labels
    }
}

fn key(pod: &WatchedPod) -> Key {
    Key {
        namespace: pod.namespace().unwrap_or_default().into(),
        name: pod.name_any().into(),
    }
}

fn uid(pod: &WatchedPod) -> String {
    pod.uid().unwrap_or_default()
}
