//! The resolver that the Configuration asks for, at each moment.
//!
//! One task creates it, keeps it, replaces it when the Configuration changes, and creates it again when it
//! failed. Whoever asks meanwhile waits for the first attempt only, and is told the reason after that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use trilby_components::name_resolution::{Instance, NameResolver, Query, ResolveError};
use trilby_components::registry::{CreateError, InitError, Registry};
use trilby_crds::ConfigurationSpec;
use trilby_grpc::Backoff;

/// How long one attempt to create a resolver may take.
const CREATION_LIMIT: Duration = Duration::from_secs(10);
/// How long withdrawing may take at the end.
const WITHDRAWAL_LIMIT: Duration = Duration::from_secs(2);

/// The resolver of this moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Names(watch::Sender<State>);

#[derive(Debug, Clone)]
enum State {
    /// The first attempt is not over.
    Starting,
    Resolving(Arc<dyn NameResolver>),
    /// There is none, and why.
    Broken(Arc<str>),
}

impl Default for Names {
    fn default() -> Self {
        Self(watch::Sender::new(State::Starting))
    }
}

impl Names {
    /// A resolver that is there from the start and stays.
    pub fn fixed(resolver: Arc<dyn NameResolver>) -> Self {
        Self(watch::Sender::new(State::Resolving(resolver)))
    }

    /// Why names are not resolved, if they are not.
    pub fn error(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Broken(reason) => Some(reason.to_string()),
            State::Starting | State::Resolving(_) => None,
        }
    }

    /// Waits until the first attempt is over, however it ended. It is limited in time.
    pub async fn settled(&self) {
        let mut states = self.0.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Starting));
        // The sender lives in `self`, so the channel cannot close meanwhile.
        drop(settled.await);
    }

    async fn current(&self) -> Result<Arc<dyn NameResolver>, ResolveError> {
        if let State::Resolving(resolver) = &*self.0.borrow() {
            return Ok(Arc::clone(resolver));
        }
        let mut states = self.0.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Starting));
        let gone = || ResolveError("name resolver not initialized".to_owned());
        match &*settled.await.map_err(|_| gone())? {
            State::Resolving(resolver) => Ok(Arc::clone(resolver)),
            State::Broken(reason) => Err(ResolveError(format!(
                "name resolver not initialized: {reason}"
            ))),
            State::Starting => Err(gone()),
        }
    }
}

#[async_trait]
impl NameResolver for Names {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        self.current().await?.resolve(query).await
    }

    fn forget(&self, app_id: &str, namespace: &str) {
        if let State::Resolving(resolver) = &*self.0.borrow() {
            resolver.forget(app_id, namespace);
        }
    }
}

/// What the Configuration asks for.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    name: String,
    version: String,
    settings: Value,
}

impl Wanted {
    fn new(configuration: &ConfigurationSpec, default: &str) -> Self {
        let spec = configuration.name_resolution.as_ref();
        let name = spec.map_or("", |spec| &spec.component);
        Self {
            name: if name.is_empty() { default } else { name }.to_owned(),
            version: spec.map(|spec| spec.version.clone()).unwrap_or_default(),
            settings: spec
                .and_then(|spec| spec.configuration.clone())
                .unwrap_or_default(),
        }
    }
}

/// Why there is no resolver.
#[derive(Debug)]
struct Failure {
    reason: String,
    /// Whether the same attempt can succeed later.
    transient: bool,
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        Self {
            reason: error.to_string(),
            transient: error.is_transient(),
        }
    }
}

/// What the task needs.
pub struct Following {
    /// Where the result is seen.
    pub names: Names,
    /// The resolvers of this build.
    pub registry: Registry,
    /// The Configuration.
    pub configuration: watch::Receiver<Arc<ConfigurationSpec>>,
    /// The resolver when the Configuration names none.
    pub default: &'static str,
    /// The sidecar that others are to find.
    pub instance: Instance,
}

impl Following {
    /// Runs until `closing`; from `serving` on nobody finds this sidecar any more, while it still finds others.
    pub async fn run(self, serving: CancellationToken, closing: CancellationToken) {
        let mut task = Task {
            wanted: self.wanted(),
            following: &self,
            kept: None,
            backoff: Backoff::default(),
            attempt: Some(Instant::now()),
        };
        let mut configuration = self.configuration.clone();
        loop {
            tokio::select! {
                () = serving.cancelled() => break,
                () = due(task.attempt) => task.create().await,
                reason = task.keep() => task.lost(reason),
                Ok(()) = configuration.changed() => {
                    let wanted = Wanted::new(&configuration.borrow_and_update(), self.default);
                    task.want(wanted);
                }
            }
        }
        task.end(&closing).await;
    }

    fn wanted(&self) -> Wanted {
        Wanted::new(&self.configuration.borrow(), self.default)
    }
}

/// Resolves at the time of the next attempt, never without one.
async fn due(attempt: Option<Instant>) {
    match attempt {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Task<'a> {
    following: &'a Following,
    wanted: Wanted,
    kept: Option<Arc<dyn NameResolver>>,
    backoff: Backoff,
    /// When creation is tried next; `None` while there is nothing to try.
    attempt: Option<Instant>,
}

impl Task<'_> {
    async fn keep(&self) -> ResolveError {
        match &self.kept {
            Some(resolver) => resolver.keep().await,
            None => std::future::pending().await,
        }
    }

    fn want(&mut self, wanted: Wanted) {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.backoff.reset();
            self.attempt = Some(Instant::now());
        }
    }

    /// One attempt, during which the resolver of before is kept.
    async fn create(&mut self) {
        self.attempt = None;
        let created = tokio::select! {
            created = self.created() => created,
            reason = self.keep() => return self.lost(reason),
        };
        match created {
            Ok(resolver) => self.replace(resolver).await,
            Err(failure) => self.failed(failure),
        }
    }

    async fn created(&self) -> Result<Arc<dyn NameResolver>, Failure> {
        let Wanted {
            name,
            version,
            settings,
        } = &self.wanted;
        let backend = self.following.registry.resolver(name, version)?;
        let creation = backend.create(self.following.instance.clone(), settings.clone());
        let created = timeout(CREATION_LIMIT, creation).await;
        let created = created.unwrap_or_else(|_| {
            Err(InitError::Unavailable(format!(
                "not initialized within {CREATION_LIMIT:?}"
            )))
        });
        Ok(created.map_err(CreateError::from)?)
    }

    async fn replace(&mut self, resolver: Arc<dyn NameResolver>) {
        self.backoff.reset();
        tracing::info!("Initialized name resolution to {}", self.wanted.name);
        let before = self.kept.replace(Arc::clone(&resolver));
        self.publish(State::Resolving(resolver));
        if let Some(before) = before {
            withdraw(&*before).await;
        }
    }

    fn lost(&mut self, reason: ResolveError) {
        self.kept = None;
        self.failed(Failure {
            reason: reason.to_string(),
            transient: true,
        });
    }

    fn failed(&mut self, failure: Failure) {
        let Failure { reason, transient } = failure;
        let name = &self.wanted.name;
        let still = self.kept.is_some();
        if transient {
            let pause = self.backoff.pause();
            self.attempt = Some(Instant::now() + pause);
            tracing::error!(resolver = %name, error = %reason, again_in = ?pause, still_serving = still, "name resolution failed");
        } else {
            tracing::error!(resolver = %name, error = %reason, still_serving = still, "name resolution failed until the Configuration changes");
        }
        if !still {
            self.publish(State::Broken(format!("{name}: {reason}").into()));
        }
    }

    fn publish(&self, state: State) {
        self.following.names.0.send_replace(state);
    }

    async fn end(self, closing: &CancellationToken) {
        let Some(resolver) = &self.kept else {
            return closing.cancelled().await;
        };
        withdraw(&**resolver).await;
        tokio::select! {
            () = closing.cancelled() => {}
            reason = resolver.keep() => {
                self.publish(State::Broken(reason.to_string().into()));
                closing.cancelled().await;
            }
        }
    }
}

async fn withdraw(resolver: &dyn NameResolver) {
    if timeout(WITHDRAWAL_LIMIT, resolver.withdraw())
        .await
        .is_err()
    {
        tracing::warn!(
            "the name resolver did not withdraw this sidecar in time; others find it until it expires there"
        );
    }
}

#[cfg(test)]
mod tests;
