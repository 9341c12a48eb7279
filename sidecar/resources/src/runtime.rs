//! Carries out what the updater decides, and publishes what serves.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use trilby_components::state::NamedStore;
use trilby_crds::ConfigurationSpec;

use crate::{
    config::Config,
    configuration::{denied_types, is_hot_reload_on},
    control::Control,
    declared::{Gate, Keepers, Keeping, Problems, channels},
    initialise::Initialiser,
    instance::Remains,
    kind::{Kind, Told},
    ledger::Ledger,
    manifest::{KUBERNETES, Manifest, Received},
    resources::{Kinds, LoadError, Shared},
    source::{self, Audience, Started},
    types::Types,
    updater::{Action, Event, Identity, Updater},
    view::View,
};

type Work = Pin<Box<dyn Future<Output = Option<Event>> + Send>>;

/// The one owner of all components.
pub(crate) struct Runtime {
    updater: Updater,
    initialiser: Arc<Initialiser>,
    shared: Arc<Shared>,
    /// Attempts, pauses, upkeep and closings under way: at most a few per component.
    work: FuturesUnordered<Work>,
    /// What the source says about components.
    news: mpsc::Receiver<Told>,
    /// Keeps the other kinds.
    declared: Pin<Box<dyn Future<Output = ()> + Send>>,
    gates: Vec<Arc<Gate>>,
    following: watch::Sender<bool>,
    configuration: watch::Receiver<Arc<ConfigurationSpec>>,
    arrivals: Types,
    /// Follows the source; `None` once there is nothing to follow.
    source: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    deadline: Instant,
    first_load: std::time::Duration,
    last_problem: Option<String>,
    cancel: CancellationToken,
}

/// What the loop woke up for.
enum Woken {
    Cancelled,
    Told(Told),
    Work(Option<Event>),
    Configuration,
    /// Types came or went.
    Types,
    SourceEnded,
    /// A kind was told and tried for the first time.
    Gate,
}

/// Whether the operator is the source.
fn in_kubernetes(config: &Config) -> bool {
    matches!(config.source, crate::Source::Operator { .. })
}

/// Only an operator wants to know what became of what it gave.
fn ledger(config: &Config) -> Ledger {
    match in_kubernetes(config) {
        true => Ledger::kept(),
        false => Ledger::none(),
    }
}

/// Knows no component yet, but the secret store that needs none.
fn updater(config: &Config, configuration: &ConfigurationSpec) -> Updater {
    let kubernetes = in_kubernetes(config);
    let identity = Identity {
        app_id: config.app_id.clone(),
        namespace: config.namespace.clone(),
        kubernetes,
    };
    let builtin = (kubernetes && config.kubernetes_secrets).then(builtin_secret_store);
    let mut updater = Updater::new(identity, builtin.into_iter().collect());
    updater.fold(Event::Deny(denied_types(configuration)));
    updater
}

fn initialiser(
    config: Config,
    configuration: watch::Receiver<Arc<ConfigurationSpec>>,
) -> Initialiser {
    Initialiser {
        configuration,
        kubernetes: in_kubernetes(&config),
        namespace: config.effective_namespace().to_owned(),
        registry: config.registry,
        app_id: config.app_id,
        environment: config.environment,
        identity: config.identity,
        observer: config.observer,
    }
}

fn keepers(
    config: &Config,
    shared: &Arc<Shared>,
    receivers: BTreeMap<Kind, mpsc::Receiver<Told>>,
) -> Keepers {
    let keeping = Keeping {
        shared: Arc::clone(shared),
        app_id: config.app_id.clone(),
        namespace: config.effective_namespace().to_owned(),
        environment: config.environment.clone(),
        kubernetes: in_kubernetes(config),
    };
    Keepers {
        namespace: config.namespace.clone(),
        observer: Arc::clone(&config.observer),
        keeping,
        receivers,
    }
}

impl Runtime {
    /// Loads the Configuration and connects the source of components.
    pub(crate) async fn new(config: Config, cancel: CancellationToken) -> Result<Self, LoadError> {
        let (reload, asked) = watch::channel(0);
        let following = watch::Sender::new(true);
        let problems = Arc::new(Problems::default());
        let (senders, mut receivers) = channels();
        let news = receivers.remove(&Kind::Component);
        let ledger = ledger(&config);
        let audience = Audience {
            kinds: senders,
            problems: Arc::clone(&problems),
            observer: Arc::clone(&config.observer),
            ledger: ledger.clone(),
            control: Control::new(asked, following.subscribe()),
        };
        let started = source::start(&config, config.effective_namespace(), audience);
        let Started {
            configuration,
            follow,
        } = cancel
            .run_until_cancelled(started)
            .await
            .ok_or(LoadError::Cancelled)??;
        following.send_replace(is_hot_reload_on(&configuration.borrow()));
        let updater = updater(&config, &configuration.borrow());
        let shared = Arc::new(Shared {
            view: ArcSwap::from_pointee(View::default()),
            changes: watch::Sender::new(0),
            actor_state: watch::Sender::new(None),
            configuration: configuration.clone(),
            kinds: Kinds::default(),
            problems,
            ledger,
            reload,
        });
        let (declared, gates) = keepers(&config, &shared, receivers).start();
        Ok(Self {
            updater,
            deadline: Instant::now() + config.first_load,
            arrivals: Types::of(&config.registry),
            first_load: config.first_load,
            initialiser: Arc::new(initialiser(config, configuration.clone())),
            shared,
            declared,
            gates,
            following,
            work: FuturesUnordered::new(),
            news: news.expect("every kind has a channel"),
            configuration,
            source: Some(follow),
            last_problem: None,
            cancel,
        })
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs until every resource was tried once.
    pub(crate) async fn load(&mut self) -> Result<(), LoadError> {
        self.act();
        while !self.is_loaded() {
            let deadline = self.deadline;
            let woken = timeout_at(deadline, self.wake()).await;
            let woken = woken.map_err(|_| self.too_late())?;
            if matches!(woken, Woken::Cancelled) {
                return Err(LoadError::Cancelled);
            }
            self.take(woken);
        }
        self.updater.end_start();
        self.publish();
        if !*self.following.borrow() {
            tracing::info!(
                "hot reload is off: changes of resources take effect at the next start or reload"
            );
        }
        Ok(())
    }

    fn is_loaded(&self) -> bool {
        self.updater.is_loaded() && self.closed_gate().is_none()
    }

    /// A kind that was not told and tried yet.
    fn closed_gate(&self) -> Option<&Gate> {
        let mut gates = self.gates.iter().map(AsRef::as_ref);
        gates.find(|gate| !gate.loaded.is_cancelled())
    }

    fn too_late(&mut self) -> LoadError {
        let (kind, last) = match self.closed_gate() {
            Some(gate) if self.updater.is_loaded() => (gate.kind, gate.last_problem.lock().take()),
            _ => (Kind::Component, self.last_problem.take()),
        };
        LoadError::Kind {
            kind: kind.name(),
            limit: self.first_load,
            last: last.unwrap_or_else(|| "none".to_owned()),
        }
    }

    /// Runs until nobody uses components any more, and closes them.
    pub(crate) async fn run(mut self) {
        loop {
            match self.wake().await {
                Woken::Cancelled => break,
                woken => self.take(woken),
            }
        }
        let remains = self.updater.retire_all();
        self.publish();
        join_all(remains.into_iter().map(Remains::end)).await;
    }

    async fn wake(&mut self) -> Woken {
        let closed = self.gates.iter().find(|gate| !gate.loaded.is_cancelled());
        let follow = async {
            match &mut self.source {
                Some(source) => source.await,
                None => std::future::pending().await,
            }
        };
        let gate = async {
            match closed {
                Some(gate) => gate.loaded.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Woken::Cancelled,
            Some(told) = self.news.recv() => Woken::Told(told),
            Some(event) = self.work.next(), if !self.work.is_empty() => Woken::Work(event),
            Ok(()) = self.configuration.changed() => Woken::Configuration,
            () = self.arrivals.changed() => Woken::Types,
            () = follow => Woken::SourceEnded,
            () = gate => Woken::Gate,
            () = &mut self.declared => unreachable!("kinds are kept for ever"),
        }
    }

    fn take(&mut self, woken: Woken) {
        match woken {
            Woken::Cancelled | Woken::Gate => return,
            Woken::Told(told) => {
                self.hear(told);
                // A storm about one component costs one attempt.
                while let Ok(told) = self.news.try_recv() {
                    self.hear(told);
                }
            }
            Woken::Work(event) => {
                if let Some(event) = event {
                    self.keep(&event);
                    self.updater.fold(event);
                }
            }
            Woken::Configuration => {
                let spec = Arc::clone(&self.configuration.borrow_and_update());
                self.following.send_replace(is_hot_reload_on(&spec));
                self.updater.fold(Event::Deny(denied_types(&spec)));
            }
            Woken::Types => self.updater.fold(Event::Arrived(self.arrivals.news())),
            Woken::SourceEnded => self.source = None,
        }
        self.act();
    }

    /// Looks after what was just started. A start that comes too late releases its instance, and so ends this.
    fn keep(&mut self, event: &Event) {
        if let Event::Started {
            outcome: Ok((_, remains)),
            ..
        } = event
        {
            let keep = remains.keep();
            self.work.push(Box::pin(async move {
                keep.await;
                None
            }));
        }
    }

    fn hear(&mut self, told: Told) {
        let event = match told {
            Told::Snapshot { all, newer } => Event::Snapshot {
                all: all
                    .iter()
                    .filter_map(|json| Received::decode(json))
                    .collect(),
                newer,
            },
            Told::Changed(json) => match Received::decode(&json) {
                Some(received) => Event::Changed(received),
                None => return,
            },
            Told::Gone(name) => Event::Gone(name),
            Told::Problem(problem) => {
                self.last_problem = Some(problem);
                return;
            }
        };
        self.updater.fold(event);
    }

    fn act(&mut self) {
        let actions = self.updater.decide();
        // Before anything is closed, nobody finds it any more.
        self.publish();
        for action in actions {
            let work: Work = match action {
                Action::Start(job) => Box::pin(job.run(Arc::clone(&self.initialiser))),
                Action::Wait {
                    name,
                    attempt,
                    pause,
                } => Box::pin(async move {
                    sleep(pause).await;
                    Some(Event::Due { name, attempt })
                }),
                Action::Retire(remains) => Box::pin(async move {
                    remains.close().await;
                    None
                }),
            };
            self.work.push(work);
        }
    }

    fn publish(&self) {
        self.shared.view.store(Arc::new(self.updater.view()));
        let ledger = &self.shared.ledger;
        ledger.replace(Kind::Component.name(), || self.updater.states());
        self.shared.changes.send_modify(|changes| *changes += 1);
        let actor_store = self.updater.actor_store();
        self.shared.actor_state.send_if_modified(|current| {
            let same = match (&*current, &actor_store) {
                (None, None) => true,
                (Some(old), Some(new)) => {
                    std::ptr::addr_eq(Arc::as_ptr(&old.store), Arc::as_ptr(new))
                }
                _ => false,
            };
            if !same {
                *current = actor_store.map(|store| NamedStore {
                    name: store.name.as_str().into(),
                    store,
                });
            }
            !same
        });
    }
}

/// In Kubernetes there is a secret store without a component, unless it is switched off.
fn builtin_secret_store() -> Manifest {
    let component = serde_json::json!({
        "metadata": { "name": KUBERNETES },
        "spec": { "type": "secretstores.kubernetes", "version": "v1" },
    });
    match Received::decode(component.to_string().as_bytes()) {
        Some(Received::Manifest(manifest)) => *manifest,
        _ => unreachable!("the built-in component decodes, as a test shows"),
    }
}

#[cfg(test)]
mod tests {
    use super::builtin_secret_store;

    #[test]
    fn the_builtin_secret_store_decodes() {
        let manifest = builtin_secret_store();
        assert_eq!(
            manifest.log_name(),
            "kubernetes (secretstores.kubernetes/v1)"
        );
    }
}
