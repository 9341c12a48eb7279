//! Notices what changes and keeps every workload's Service as planned.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, select_all},
};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt, runtime::watcher::Event};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::JoinMap};
use tracing::{debug, warn};
use trilby_events::{News, Tone};
use trilby_grpc::Backoff;

use super::{
    Reconcile, cleanup,
    execute::{Context, Failure, Task, execute},
    plan::{Refusal, service_key},
    workload::{Workload, WorkloadDocument, WorkloadKey, WorkloadKind},
};
use crate::{
    cluster::Scope,
    events::event,
    metrics::Metrics,
    resource::Key,
    settings::AppTls,
    watch::{self, Waiting},
};

/// Services that are written at the same time.
const CONCURRENCY: usize = 16;
/// Pauses before a failed workload is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Services of ours.
const LABEL: &str = "dapr.io/enabled=true";

/// What it takes to keep the Services.
#[derive(Clone)]
pub(crate) struct Reconciler {
    pub client: kube::Client,
    pub scope: Scope,
    pub reconcile: Reconcile,
    pub app_tls: AppTls,
    pub metrics: Metrics,
}

impl Reconciler {
    /// Keeps the Services until `term` ends.
    pub(crate) async fn run(self, term: CancellationToken) -> anyhow::Result<()> {
        let workloads = self.reconcile.kinds().iter().map(|kind| self.watch(*kind));
        let mut workloads = select_all(workloads);
        let mut services = pin!(self.watch_services());
        let mut state = State::new(Context {
            client: self.client.clone(),
            app_tls: self.app_tls,
            metrics: self.metrics.clone(),
        });
        loop {
            tokio::select! {
                () = term.cancelled() => break,
                Some((kind, event)) = workloads.next() => state.observe(kind, event),
                Some(event) = services.next() => state.observe_service(event),
                Some((key, outcome)) = state.tasks.join_next() => {
                    let failed = |error: tokio::task::JoinError| Err(Failure::Failed(error.to_string()));
                    state.settle(&key, outcome.unwrap_or_else(failed));
                }
                Some((key, Ok(()))) = state.retries.join_next() => state.start(&key),
                Some((key, outcome)) = state.cleaning.join_next() => {
                    let failed = |error: tokio::task::JoinError| Err(error.to_string());
                    state.cleaned(&key, outcome.unwrap_or_else(failed));
                }
                Some(_told) = state.telling.join_next() => {}
            }
        }
        Ok(())
    }

    fn watch(
        &self,
        kind: WorkloadKind,
    ) -> BoxStream<'static, (WorkloadKind, Event<WorkloadDocument>)> {
        let api = watch::objects(&self.client, &self.scope, &kind.resource());
        let events = watch::follow(api, None, kind.plural(), Waiting::Nobody);
        events.map(move |event| (kind, event)).boxed()
    }

    fn watch_services(&self) -> impl Stream<Item = Event<Service>> + use<> {
        let api: Api<Service> = match &self.scope {
            Scope::All => Api::all(self.client.clone()),
            Scope::Namespace(namespace) => Api::namespaced(self.client.clone(), namespace),
        };
        watch::follow(api, Some(LABEL), "services", Waiting::Nobody)
    }
}

/// The enabled workloads, their Services, and what is under way.
struct State {
    workloads: HashMap<WorkloadKey, Workload>,
    services: HashMap<Key, Arc<Service>>,
    /// During a relist: what was listed so far, per kind of workload.
    listed: HashMap<WorkloadKind, HashSet<WorkloadKey>>,
    listed_services: Option<HashSet<Key>>,
    /// Kinds of workload whose every object is known.
    complete: HashSet<WorkloadKind>,
    failures: HashMap<WorkloadKey, (Failure, Backoff)>,
    slots: Arc<Semaphore>,
    context: Arc<Context>,
    tasks: JoinMap<WorkloadKey, Result<(), Failure>>,
    /// Workloads under way that are to be looked at again.
    again: HashSet<WorkloadKey>,
    /// Pauses of workloads that failed.
    retries: JoinMap<WorkloadKey, ()>,
    /// Services of which it is asked whether their workload needs them no more.
    cleaning: JoinMap<Key, Result<(), String>>,
    /// Events being created.
    telling: JoinSet<()>,
}

impl State {
    fn new(context: Context) -> Self {
        Self {
            workloads: HashMap::new(),
            services: HashMap::new(),
            listed: HashMap::new(),
            listed_services: None,
            complete: HashSet::new(),
            failures: HashMap::new(),
            slots: Arc::new(Semaphore::new(CONCURRENCY)),
            context: Arc::new(context),
            tasks: JoinMap::new(),
            again: HashSet::new(),
            retries: JoinMap::new(),
            cleaning: JoinMap::new(),
            telling: JoinSet::new(),
        }
    }

    fn observe(&mut self, kind: WorkloadKind, event: Event<WorkloadDocument>) {
        match event {
            Event::Init => drop(self.listed.insert(kind, HashSet::new())),
            Event::InitApply(document) => {
                let key = document.key(kind);
                if let Some(listed) = self.listed.get_mut(&kind) {
                    listed.insert(key);
                }
                self.apply(kind, document);
            }
            Event::InitDone => {
                let listed = self.listed.remove(&kind).unwrap_or_default();
                let gone = |key: &WorkloadKey| key.kind == kind && !listed.contains(key);
                let gone: Vec<_> = self
                    .workloads
                    .keys()
                    .filter(|key| gone(key))
                    .cloned()
                    .collect();
                gone.iter().for_each(|key| self.forget(key));
                self.complete.insert(kind);
                let services: Vec<_> = self.services.keys().cloned().collect();
                services.iter().for_each(|key| self.doubt(key));
            }
            Event::Apply(document) => self.apply(kind, document),
            Event::Delete(document) => self.forget(&document.key(kind)),
        }
    }

    fn apply(&mut self, kind: WorkloadKind, document: WorkloadDocument) {
        let key = document.key(kind);
        match document.into_enabled(kind) {
            Some(workload) if self.workloads.get(&key) == Some(&workload) => {}
            Some(workload) => {
                let now = service_key(&workload);
                let before = self.workloads.insert(key.clone(), workload);
                self.failures.remove(&key);
                self.start(&key);
                let before = before.as_ref().and_then(service_key);
                if let Some(service) = before.filter(|it| Some(it) != now.as_ref()) {
                    self.start_users(&service);
                    self.doubt(&service);
                }
            }
            None => self.forget(&key),
        }
    }

    fn forget(&mut self, key: &WorkloadKey) {
        self.failures.remove(key);
        self.retries.abort(key);
        if let Some(workload) = self.workloads.remove(key)
            && let Some(service) = service_key(&workload)
        {
            // Another workload with the same app id may be waiting for this one to go.
            self.start_users(&service);
            self.doubt(&service);
        }
    }

    fn observe_service(&mut self, event: Event<Service>) {
        match event {
            Event::Init => self.listed_services = Some(HashSet::new()),
            Event::InitApply(service) => {
                let key = identify(&service);
                if let Some(listed) = &mut self.listed_services {
                    listed.insert(key);
                }
                self.apply_service(service);
            }
            Event::InitDone => {
                let listed = self.listed_services.take().unwrap_or_default();
                let gone = self.services.keys().filter(|key| !listed.contains(key));
                let gone: Vec<_> = gone.cloned().collect();
                gone.iter().for_each(|key| self.forget_service(key));
            }
            Event::Apply(service) => self.apply_service(service),
            Event::Delete(service) => self.forget_service(&identify(&service)),
        }
    }

    fn apply_service(&mut self, mut service: Service) {
        service.metadata.managed_fields = None;
        let key = identify(&service);
        self.services.insert(key.clone(), Arc::new(service));
        self.start_users(&key);
        self.doubt(&key);
    }

    fn forget_service(&mut self, key: &Key) {
        self.services.remove(key);
        self.start_users(key);
    }

    /// Looks again at every workload that needs this Service.
    fn start_users(&mut self, service: &Key) {
        let users = self
            .workloads
            .values()
            .filter(|workload| service_key(workload).as_ref() == Some(service))
            .map(|workload| workload.key.clone());
        for key in users.collect::<Vec<_>>() {
            self.start(&key);
        }
    }

    /// Has the Service deleted if it is a workload's that needs it no more, and nobody else waits for it.
    fn doubt(&mut self, key: &Key) {
        let Some(service) = self.services.get(key) else {
            return;
        };
        let Some(owner) = cleanup::owner(service) else {
            return;
        };
        if !self.complete.contains(&owner.kind)
            || self.cleaning.contains_key(key)
            || self.is_needed(key, &owner)
        {
            return;
        }
        let doubted = (key.clone(), Arc::clone(service));
        let (slots, context) = (Arc::clone(&self.slots), Arc::clone(&self.context));
        self.cleaning.spawn(key.clone(), async move {
            let _slot = slots.acquire().await;
            cleanup::clean(context, doubted, owner).await
        });
    }

    /// By its owner, most likely; by anybody.
    fn is_needed(&self, service: &Key, owner: &cleanup::Owner) -> bool {
        let needs = |workload: &Workload| service_key(workload).as_ref() == Some(service);
        self.workloads.get(&owner.key(service)).is_some_and(needs)
            || self.workloads.values().any(needs)
    }

    /// What could not be deleted is looked at again when its workload or itself changes, and after the next list.
    fn cleaned(&self, service: &Key, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            warn!(%service, reason, "Service that no workload needs is not deleted");
        }
    }

    /// Plans and executes, once what is under way for the same workload is done.
    fn start(&mut self, key: &WorkloadKey) {
        self.retries.abort(key);
        if self.tasks.contains_key(key) {
            self.again.insert(key.clone());
            return;
        }
        let Some(workload) = self.workloads.get(key) else {
            return;
        };
        let task = self.task(workload);
        let (slots, context) = (Arc::clone(&self.slots), Arc::clone(&self.context));
        self.tasks.spawn(key.clone(), async move {
            // The semaphore is never closed, so this only waits.
            let _slot = slots.acquire().await;
            execute(&context, task).await
        });
    }

    fn task(&self, workload: &Workload) -> Task {
        let service = service_key(workload);
        let rivals = self
            .workloads
            .values()
            .filter(|other| other.key != workload.key && service_key(other) == service)
            .map(|other| Arc::clone(&other.uid))
            .collect();
        Task {
            workload: workload.clone(),
            observed: service.and_then(|service| self.services.get(&service).cloned()),
            rivals,
        }
    }

    fn settle(&mut self, key: &WorkloadKey, outcome: Result<(), Failure>) {
        match outcome {
            _ if !self.workloads.contains_key(key) => {}
            Ok(()) => {
                if self.failures.remove(key).is_some() {
                    debug!(workload = %key, "Service is as it should be again");
                }
            }
            Err(failure) => self.fail(key, failure),
        }
        if self.again.remove(key) {
            self.start(key);
        }
    }

    /// Tells of a failure once, and tries again if that can help.
    fn fail(&mut self, key: &WorkloadKey, failure: Failure) {
        let known = self.failures.remove(key);
        if known.as_ref().is_none_or(|(before, _)| *before != failure) {
            warn!(workload = %key, error = %failure, "workload has no Service");
            if let Failure::Refused(refusal) = &failure {
                self.tell(key, refusal);
            }
        }
        let mut backoff = known.map_or_else(
            || Backoff::new(FIRST_RETRY, MAX_RETRY),
            |(_, backoff)| backoff,
        );
        if let Failure::Failed(_) = failure {
            let pause = backoff.pause();
            self.retries.spawn(key.clone(), tokio::time::sleep(pause));
        }
        self.failures.insert(key.clone(), (failure, backoff));
    }

    /// Tells it on the workload. While many are being told, the log is enough.
    fn tell(&mut self, key: &WorkloadKey, refusal: &Refusal) {
        let Some(workload) = self.workloads.get(key) else {
            return;
        };
        if self.telling.len() < CONCURRENCY {
            let news = News {
                tone: Tone::Warning,
                reason: "NoService",
                action: "CreateService",
                note: &refusal.to_string(),
            };
            let event = event(workload.reference(), news);
            let client = self.context.client.clone();
            self.telling.spawn(trilby_events::tell(client, event));
        }
    }
}

fn identify(service: &Service) -> Key {
    Key {
        namespace: service.namespace().unwrap_or_default().into(),
        name: service.name_any().into(),
    }
}
