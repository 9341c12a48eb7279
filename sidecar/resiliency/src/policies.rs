//! The policies in force: every resource merged, every name resolved.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breakers::{Breakers, BreakersByTarget};
use crate::decode::APP_BREAKERS;
use crate::definition::ActorScope;
use crate::machine::Settings;
use crate::observer::{Observer, Subject};
use crate::policy::Policy;
use crate::retry::{Exponential, Retry, Schedule};

mod merge;

pub(crate) use merge::Named;

/// Targets that no resource names and that keep breakers of a default policy. Beyond it the one not used for
/// the longest time starts anew.
const UNNAMED_TARGETS: usize = 1000;

/// The way of an operation, seen from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the application.
    Inbound,
    /// From it.
    Outbound,
}

/// The building block that a component serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentKind {
    /// Bindings.
    Binding,
    /// Configuration stores.
    Configuration,
    /// Locks.
    Lock,
    /// Publish and subscribe.
    Pubsub,
    /// Cryptography.
    Crypto,
    /// Conversation.
    Conversation,
    /// Secret stores.
    SecretStore,
    /// State stores.
    StateStore,
}

/// Policies that are there without any resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Calls of another sidecar that was not reached.
    ServiceRetries,
    /// Starting a workflow.
    ActorRetries,
    /// Actor calls that found no host, the wrong one, or none that answers. No resource replaces it.
    ActorNotFoundRetries,
    /// Reminders, in the way of former versions.
    ActorReminderRetries,
    /// What is asked once at the start.
    InitializationRetries,
}

/// Policies of one generation. Immutable, but for the breakers' states.
#[derive(Debug)]
pub struct Policies {
    apps: HashMap<String, Arc<Keyed>>,
    actors: HashMap<String, Arc<Actor>>,
    components: HashMap<String, Component>,
    default_app: Option<Resolved>,
    default_actor: Option<Resolved>,
    default_components: HashMap<(ComponentKind, Direction), Resolved>,
    builtin: [Arc<Retry>; Builtin::ALL.len()],
    live: Arc<Live>,
}

/// Breakers of default policies, which every generation shares.
#[derive(Debug)]
struct Live {
    default_apps: BreakersByTarget,
    default_actors: Breakers,
    /// By component and policy.
    components: Breakers,
    observer: Arc<dyn Observer>,
}

/// What a target's policy is made of.
#[derive(Debug, Clone, PartialEq)]
struct Resolved {
    resource: Arc<str>,
    namespace: Arc<str>,
    timeout: Option<Duration>,
    retry: Option<Arc<Retry>>,
    breaker: Option<Arc<Settings>>,
}

/// A target with a breaker per key.
#[derive(Debug)]
struct Keyed {
    policy: Resolved,
    subject: Arc<Subject>,
    breakers: Arc<Breakers>,
}

#[derive(Debug)]
struct Actor {
    keyed: Keyed,
    scope: ActorScope,
}

#[derive(Debug)]
struct Component {
    inbound: Resolved,
    outbound: Resolved,
}

impl Policies {
    /// No policies but the built-in ones.
    pub fn none(observer: Arc<dyn Observer>) -> Self {
        let live = Live {
            default_apps: BreakersByTarget::new(UNNAMED_TARGETS, APP_BREAKERS),
            default_actors: Breakers::new(APP_BREAKERS),
            components: Breakers::new(UNNAMED_TARGETS),
            observer,
        };
        Self {
            apps: HashMap::new(),
            actors: HashMap::new(),
            components: HashMap::new(),
            default_app: None,
            default_actor: None,
            default_components: HashMap::new(),
            builtin: Builtin::ALL.map(|builtin| Arc::new(builtin.retry())),
            live: Arc::new(live),
        }
    }

    /// The policy for calls of an app, or of an HTTP endpoint by name or URL; `method` is what has a breaker
    /// of its own.
    pub fn app(&self, app_id: &str, method: &str) -> Option<Policy> {
        if let Some(target) = self.apps.get(app_id) {
            return self.keyed(target, method, || format!("endpoint[{app_id}, {method}]"));
        }
        let policy = self.default_app.as_ref()?;
        let breaker = policy
            .breaker
            .as_ref()
            .map(|settings| self.live.default_apps.of(app_id).of(method, settings));
        let subject = policy.subject(Direction::Outbound, format!("app_{app_id}"));
        let name = || format!("endpoint[{app_id}, {method}]");
        self.policy(policy, (Arc::new(subject), breaker), name)
    }

    /// Whether a resource names an app, which turns the built-in retries of its calls off.
    pub fn names_app(&self, app_id: &str) -> bool {
        self.apps.contains_key(app_id)
    }

    /// The retries and the breaker for calls of an actor, before its turn is waited for.
    pub fn actor(&self, actor_type: &str, actor_id: &str) -> Option<Policy> {
        let name = || format!("actor[{actor_type}, {actor_id}]");
        let policy = if let Some(target) = self.actors.get(actor_type) {
            match target.scope {
                ActorScope::Type => self.keyed(&target.keyed, actor_type, name),
                ActorScope::Id => self.keyed(&target.keyed, actor_id, name),
            }
        } else {
            let policy = self.default_actor.as_ref()?;
            let breaker = policy
                .breaker
                .as_ref()
                .map(|settings| self.live.default_actors.of(actor_type, settings));
            let subject = policy.subject(Direction::Outbound, format!("actor_{actor_type}"));
            self.policy(policy, (Arc::new(subject), breaker), name)
        };
        // Waiting for the turn has no limit; the timeout is that of the turn.
        policy.and_then(Policy::without_timeout)
    }

    /// The timeout of an actor's turn in the app.
    pub fn actor_turn(&self, actor_type: &str) -> Option<Policy> {
        let (policy, subject) = match self.actors.get(actor_type) {
            Some(target) => (&target.keyed.policy, Arc::clone(&target.keyed.subject)),
            None => {
                let policy = self.default_actor.as_ref()?;
                let subject = policy.subject(Direction::Outbound, format!("actor_{actor_type}"));
                (policy, Arc::new(subject))
            }
        };
        let name = format!("actor[{actor_type}]");
        let observer = Arc::clone(&self.live.observer);
        policy
            .timeout
            .map(|timeout| Policy::new((name, subject), (Some(timeout), None, None), observer))
    }

    /// Whether a resource names an actor type, which turns the built-in retries of its calls off.
    pub fn names_actor(&self, actor_type: &str) -> bool {
        self.actors.contains_key(actor_type)
    }

    /// The policy for operations of a component.
    pub fn component(
        &self,
        name: &str,
        kind: ComponentKind,
        direction: Direction,
    ) -> Option<Policy> {
        let policy = match (self.components.get(name), direction) {
            (Some(component), Direction::Inbound) => &component.inbound,
            (Some(component), Direction::Outbound) => &component.outbound,
            (None, _) => self.default_components.get(&(kind, direction))?,
        };
        let breaker = policy.breaker.as_ref().map(|settings| {
            // One policy guards both directions of a component with one breaker.
            let key = format!("{}-{name}", settings.name);
            self.live.components.of(&key, settings)
        });
        let subject = policy.subject(direction, format!("{}_{name}", kind.name()));
        let way = match direction {
            Direction::Inbound => "input",
            Direction::Outbound => "output",
        };
        let label = || format!("component[{name}] {way}");
        self.policy(policy, (Arc::new(subject), breaker), label)
    }

    /// The retries of a built-in policy.
    pub fn builtin(&self, builtin: Builtin) -> &Arc<Retry> {
        &self.builtin[builtin as usize]
    }

    fn keyed(&self, target: &Keyed, key: &str, name: impl FnOnce() -> String) -> Option<Policy> {
        let breaker = target.policy.breaker.as_ref();
        let breaker = breaker.map(|settings| target.breakers.of(key, settings));
        self.policy(&target.policy, (Arc::clone(&target.subject), breaker), name)
    }

    fn policy(
        &self,
        policy: &Resolved,
        (subject, breaker): (Arc<Subject>, Option<Arc<crate::Breaker>>),
        name: impl FnOnce() -> String,
    ) -> Option<Policy> {
        if policy.is_empty() {
            return None;
        }
        let parts = (policy.timeout, policy.retry.clone(), breaker);
        let observer = Arc::clone(&self.live.observer);
        Some(Policy::new((name(), subject), parts, observer))
    }
}

impl Resolved {
    fn is_empty(&self) -> bool {
        self.timeout.is_none() && self.retry.is_none() && self.breaker.is_none()
    }

    fn subject(&self, direction: Direction, target: String) -> Subject {
        Subject {
            resource: Arc::clone(&self.resource),
            namespace: Arc::clone(&self.namespace),
            direction,
            target: target.into(),
        }
    }
}

impl Direction {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl ComponentKind {
    const ALL: [Self; 8] = [
        Self::Binding,
        Self::Configuration,
        Self::Lock,
        Self::Pubsub,
        Self::Crypto,
        Self::Conversation,
        Self::SecretStore,
        Self::StateStore,
    ];

    /// As it stands in the names of default policies, and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binding => "Binding",
            Self::Configuration => "Configuration",
            Self::Lock => "Lock",
            Self::Pubsub => "Pubsub",
            Self::Crypto => "Crypto",
            Self::Conversation => "Conversation",
            Self::SecretStore => "Secretstore",
            Self::StateStore => "Statestore",
        }
    }
}

impl Builtin {
    const ALL: [Self; 5] = [
        Self::ServiceRetries,
        Self::ActorRetries,
        Self::ActorNotFoundRetries,
        Self::ActorReminderRetries,
        Self::InitializationRetries,
    ];

    /// Its name, under which a resource may replace it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceRetries => "DaprBuiltInServiceRetries",
            Self::ActorRetries => "DaprBuiltInActorRetries",
            Self::ActorNotFoundRetries => "DaprBuiltInActorNotFoundRetries",
            Self::ActorReminderRetries => "DaprBuiltInActorReminderRetries",
            Self::InitializationRetries => "DaprBuiltInInitializationRetries",
        }
    }

    /// The built-in policy of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    fn retry(self) -> Retry {
        let second = Duration::from_secs(1);
        match self {
            Self::ServiceRetries | Self::ActorRetries => Retry::constant(second, 3),
            Self::ActorNotFoundRetries => Retry::constant(second, 5),
            Self::ActorReminderRetries => Retry {
                schedule: Schedule::Exponential(Exponential::default()),
                ..Retry::constant(second, 0)
            },
            Self::InitializationRetries => Retry {
                schedule: Schedule::Exponential(Exponential {
                    max_interval: second,
                    max_elapsed: Duration::from_secs(10),
                    ..Exponential::default()
                }),
                ..Retry::constant(second, 3)
            },
        }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
