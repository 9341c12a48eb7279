//! Carries out what the updater decides, and publishes what serves.

use std::{pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use trilby_components::state::StateStore;
use trilby_crds::ConfigurationSpec;

use crate::{
    config::Config,
    configuration::{denied_types, is_hot_reload_on},
    initialise::Initialiser,
    manifest::{KUBERNETES, Manifest, Received},
    resources::{Kinds, LoadError, Shared},
    source::{self, News, Started},
    updater::{Action, Event, Identity, Updater},
    view::View,
};

/// News that a source may be ahead of the updater. Beyond that it waits, which slows the operator's stream
/// down.
const QUEUE: usize = 64;

type Work = Pin<Box<dyn Future<Output = Option<Event>> + Send>>;

/// The one owner of all components.
pub(crate) struct Runtime {
    updater: Updater,
    initialiser: Arc<Initialiser>,
    shared: Arc<Shared>,
    /// Attempts, pauses and closings under way: at most a few per component.
    work: FuturesUnordered<Work>,
    news: mpsc::Receiver<News>,
    configuration: watch::Receiver<Arc<ConfigurationSpec>>,
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
    News(News),
    Work(Option<Event>),
    Configuration,
    SourceEnded,
}

impl Runtime {
    /// Loads the Configuration and connects the source of components.
    pub(crate) async fn new(config: Config, cancel: CancellationToken) -> Result<Self, LoadError> {
        let namespace = config.effective_namespace().to_owned();
        let kubernetes = matches!(config.source, crate::Source::Operator { .. });
        let identity = Identity {
            app_id: config.app_id.clone(),
            namespace: config.namespace.clone(),
            kubernetes,
        };
        let first_load = config.first_load;
        let (sender, news) = mpsc::channel(QUEUE);
        let started = source::start(&config, &namespace, sender);
        let Started {
            configuration,
            follow,
        } = cancel
            .run_until_cancelled(started)
            .await
            .ok_or(LoadError::Cancelled)??;
        let builtin = (kubernetes && config.kubernetes_secrets).then(builtin_secret_store);
        let (actor_state, _) = watch::channel(None);
        let mut updater = Updater::new(identity, builtin.into_iter().collect());
        updater.fold(Event::Deny(denied_types(&configuration.borrow())));
        Ok(Self {
            updater,
            initialiser: Arc::new(Initialiser {
                registry: config.registry,
                app_id: config.app_id,
                namespace,
                environment: config.environment,
                kubernetes,
            }),
            shared: Arc::new(Shared {
                view: ArcSwap::from_pointee(View::default()),
                changes: watch::Sender::new(0),
                actor_state,
                configuration: configuration.clone(),
                kinds: Kinds::default(),
            }),
            work: FuturesUnordered::new(),
            news,
            configuration,
            source: Some(follow),
            deadline: Instant::now() + first_load,
            first_load,
            last_problem: None,
            cancel,
        })
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs until every component was tried once.
    pub(crate) async fn load(&mut self) -> Result<(), LoadError> {
        self.act();
        while !self.updater.is_loaded() {
            let deadline = self.deadline;
            let woken = timeout_at(deadline, self.wake()).await;
            let woken = woken.map_err(|_| LoadError::Components {
                limit: self.first_load,
                last: self
                    .last_problem
                    .take()
                    .unwrap_or_else(|| "none".to_owned()),
            })?;
            if matches!(woken, Woken::Cancelled) {
                return Err(LoadError::Cancelled);
            }
            self.take(woken);
        }
        if !is_hot_reload_on(&self.configuration.borrow()) {
            tracing::info!(
                "hot reload is off: changes of components take effect at the next start"
            );
            self.source = None;
        }
        Ok(())
    }

    /// Runs until the process ends. Components stay in service: requests drain after this, and what a
    /// component holds ends with the process.
    pub(crate) async fn run(mut self) {
        loop {
            match self.wake().await {
                Woken::Cancelled => return,
                woken => self.take(woken),
            }
        }
    }

    async fn wake(&mut self) -> Woken {
        let follow = async {
            match &mut self.source {
                Some(source) => source.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Woken::Cancelled,
            Some(news) = self.news.recv() => Woken::News(news),
            Some(event) = self.work.next(), if !self.work.is_empty() => Woken::Work(event),
            Ok(()) = self.configuration.changed() => Woken::Configuration,
            () = follow => Woken::SourceEnded,
        }
    }

    fn take(&mut self, woken: Woken) {
        match woken {
            Woken::Cancelled => {}
            Woken::News(news) => {
                self.hear(news);
                // A storm about one component costs one attempt.
                while let Ok(news) = self.news.try_recv() {
                    self.hear(news);
                }
            }
            Woken::Work(event) => {
                if let Some(event) = event {
                    self.updater.fold(event);
                }
            }
            Woken::Configuration => {
                let deny = denied_types(&self.configuration.borrow_and_update());
                self.updater.fold(Event::Deny(deny));
            }
            Woken::SourceEnded => self.source = None,
        }
        self.act();
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Event(event) => self.updater.fold(event),
            News::Problem(problem) => self.last_problem = Some(problem),
        }
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
        self.shared.changes.send_modify(|changes| *changes += 1);
        let actor_store = self.updater.actor_store();
        self.shared.actor_state.send_if_modified(|current| {
            let same = match (&*current, &actor_store) {
                (None, None) => true,
                (Some(old), Some(new)) => std::ptr::addr_eq(Arc::as_ptr(old), Arc::as_ptr(new)),
                _ => false,
            };
            if !same {
                *current = actor_store.map(|store| store as Arc<dyn StateStore>);
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
