//! The resolver: registers this sidecar if it is to, asks for others, follows those in use.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::Rng as _;
use serde_json::Value;
use trilby_components::name_resolution::{Instance, NameResolver, Query, ResolveError};
use trilby_components::registry::InitError;

use crate::agent::{Agent, Error};
use crate::environment::Variable;
use crate::instances::{Addresses, addresses};
use crate::query::Questions;
use crate::registration::Registration;
use crate::settings::Settings;
use crate::watched::{Interruption, Watched};

/// Time between two looks whether this sidecar is still registered: an agent may have lost it with its state.
const LOOK: Duration = Duration::from_secs(15);
/// Pause between two answers of one watch: a service whose instances come and go takes no more of the CPU than that.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause after a watch failed, doubled from [`FIRST_RETRY`] on and shortened by chance, by up to half.
const LAST_RETRY: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// So often it is doubled: more exceeds [`LAST_RETRY`].
const MOST_DOUBLED: u32 = 6;

/// Finds sidecars with Consul.
#[derive(Debug)]
pub struct ConsulResolver {
    agent: Agent,
    questions: Questions,
    port_key: String,
    registration: Option<Registration>,
    deregister: bool,
    /// What is followed; `None` asks the agent each time.
    watched: Option<Watched>,
    /// Counts answers, so that the instances of an application take turns.
    turn: AtomicUsize,
    withdrawn: AtomicBool,
}

impl ConsulResolver {
    /// Registers `instance`, or asks the agent for it to see that questions are answered.
    ///
    /// # Errors
    /// The settings are wrong, or the agent is away or refuses.
    pub(crate) async fn new(
        instance: &Instance,
        configuration: &Value,
        variable: Variable,
    ) -> Result<Self, InitError> {
        let settings = Settings::new(instance, configuration, variable)?;
        for warning in &settings.warnings {
            tracing::warn!("name resolver hashicorp.consul: {warning}");
        }
        if settings.connection.is_unverified() {
            tracing::warn!(
                "name resolver hashicorp.consul: the agent's certificate is not verified"
            );
        }
        let resolver = Self {
            agent: Agent::new(settings.connection).await?,
            questions: settings.questions,
            port_key: settings.port_key,
            registration: settings.registration,
            deregister: settings.deregister,
            watched: settings.use_cache.then(Watched::default),
            turn: AtomicUsize::new(rand::rng().random_range(0..usize::MAX / 2)),
            withdrawn: AtomicBool::new(false),
        };
        resolver.begin(instance).await?;
        Ok(resolver)
    }

    async fn begin(&self, instance: &Instance) -> Result<(), Error> {
        match &self.registration {
            Some(registration) => {
                self.agent.register(registration).await?;
                tracing::info!(
                    service = %registration.name, id = %registration.id, agent = %self.agent.address(),
                    "registered with Consul"
                );
            }
            None => {
                let own = self.agent.health(&instance.app_id, &self.questions);
                own.await.map(drop)?;
            }
        }
        Ok(())
    }

    /// Registers this sidecar again if the agent lost it; tells whether the agent answers.
    async fn look_after(&self, registration: &Registration) -> Result<(), Error> {
        if self.agent.knows(registration).await? {
            return Ok(());
        }
        tracing::warn!(id = %registration.id, "the registration was lost, and is made again");
        self.agent.register(registration).await
    }

    /// Keeps this sidecar registered.
    async fn hold(&self) {
        let Some(registration) = &self.registration else {
            return;
        };
        let mut failing = false;
        while !self.withdrawn.load(Ordering::Acquire) {
            let looked = self.look_after(registration).await;
            match &looked {
                Err(error) if !failing => {
                    tracing::error!(%error, "whether this sidecar is registered is not known");
                }
                Ok(()) if failing => tracing::info!("the agent answers again"),
                _ => {}
            }
            failing = looked.is_err();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Follows every application in use.
    async fn follow_all(&self, watched: &Watched) {
        let mut changes = watched.changes();
        let mut followed = HashSet::new();
        let mut following = FuturesUnordered::new();
        loop {
            changes.mark_unchanged();
            for name in watched.names() {
                if followed.insert(name.clone()) {
                    following.push(self.follow(watched, name));
                }
            }
            tokio::select! {
                Some(name) = following.next() => drop(followed.remove(&name)),
                // The sender is in `watched`.
                _ = changes.changed() => {}
            }
        }
    }

    /// Follows one application until nobody needs it; gives its name back.
    async fn follow(&self, watched: &Watched, name: String) -> String {
        let mut pace = Pace::default();
        loop {
            let interruption = tokio::select! {
                () = self.follow_on(watched, &name, &mut pace) => None,
                interruption = watched.interruption(&name) => Some(interruption),
            };
            match interruption {
                Some(Interruption::Ended) => return name,
                Some(Interruption::Doubted) => pace = Pace::default(),
                None => watched.drop_idle(),
            }
        }
    }

    /// Waits for one answer, and rests after it.
    async fn follow_on(&self, watched: &Watched, name: &str, pace: &mut Pace) {
        let answer = self.agent.health_after(name, (&self.questions, pace.index));
        let rest = match answer.await {
            Ok(health) => {
                let found = addresses(name, &self.port_key, &health.body);
                watched.learn(name, found.ok());
                pace.answered(health.index);
                PAUSE
            }
            Err(error) => {
                // What is known stays: an instance that is gone meanwhile is forgotten by who calls it.
                let rest = pace.failed();
                tracing::warn!(app_id = %name, %error, again_in = ?rest, "watching a service failed");
                rest
            }
        };
        tokio::time::sleep(rest).await;
    }

    async fn ask(&self, app_id: &str) -> Result<Addresses, ResolveError> {
        let health = self.agent.health(app_id, &self.questions).await;
        let health = health.map_err(|error| {
            ResolveError(format!("failed to query healthy consul services: {error}"))
        })?;
        addresses(app_id, &self.port_key, &health.body)
    }
}

/// Where a watch stands.
#[derive(Debug, Default)]
struct Pace {
    /// The state that was told last; zero asks for the present one.
    index: u64,
    failures: u32,
}

impl Pace {
    /// As Consul asks its clients: after an index that goes back, or is none, they start over.
    fn answered(&mut self, index: u64) {
        self.index = if index < self.index { 0 } else { index.max(1) };
        self.failures = 0;
    }

    /// How long to rest.
    fn failed(&mut self) -> Duration {
        let longest = (FIRST_RETRY * 2_u32.pow(self.failures)).min(LAST_RETRY);
        self.failures = (self.failures + 1).min(MOST_DOUBLED);
        self.index = 0;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[async_trait]
impl NameResolver for ConsulResolver {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        let known = self.watched.as_ref();
        let found = match known.and_then(|watched| watched.get(query.app_id)) {
            Some(known) => known,
            None => self.ask(query.app_id).await?,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(found[turn % found.len()].clone())
    }

    fn forget(&self, app_id: &str, _namespace: &str) {
        if let Some(watched) = &self.watched {
            watched.forget(app_id);
        }
    }

    async fn keep(&self) -> ResolveError {
        let follow = async {
            if let Some(watched) = &self.watched {
                self.follow_all(watched).await;
            }
        };
        tokio::join!(self.hold(), follow);
        std::future::pending().await
    }

    async fn withdraw(&self) {
        if self.withdrawn.swap(true, Ordering::AcqRel) || !self.deregister {
            return;
        }
        let Some(registration) = &self.registration else {
            return;
        };
        match self.agent.deregister(registration).await {
            Ok(()) => tracing::info!(id = %registration.id, "deregistered from Consul"),
            Err(error) => tracing::warn!(%error, "this sidecar stays registered with Consul"),
        }
    }
}

#[cfg(test)]
mod tests;
