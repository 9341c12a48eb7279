//! One Resiliency resource, validated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::Settings;
use crate::retry::Retry;

/// What one resource defines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// Timeouts by policy name; zero for none.
    pub timeouts: HashMap<String, Duration>,
    /// Retries by policy name.
    pub retries: HashMap<String, Arc<Retry>>,
    /// Circuit breakers by policy name.
    pub breakers: HashMap<String, Arc<Settings>>,
    /// Targets by app id.
    pub apps: HashMap<String, AppTarget>,
    /// Targets by actor type.
    pub actors: HashMap<String, ActorTarget>,
    /// Targets by component name.
    pub components: HashMap<String, ComponentTarget>,
}

/// The names of the policies of a target; empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// The timeout's name.
    pub timeout: String,
    /// The retry's name.
    pub retry: String,
    /// The circuit breaker's name.
    pub breaker: String,
}

/// Policies of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppTarget {
    /// The policies.
    pub names: Names,
    /// Breakers kept, one per method.
    pub cache_size: usize,
}

/// Policies of an actor type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorTarget {
    /// The policies.
    pub names: Names,
    /// What has a breaker of its own.
    pub scope: ActorScope,
    /// Breakers kept.
    pub cache_size: usize,
}

/// What has a circuit breaker of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorScope {
    /// The actor type.
    Type,
    /// Each actor. `both` is this, too, as upstream has it.
    Id,
}

/// Policies of a component.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentTarget {
    /// From the component to the app.
    pub inbound: Names,
    /// From the app to the component.
    pub outbound: Names,
}
