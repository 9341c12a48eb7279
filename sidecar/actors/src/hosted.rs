//! What the app says about the actors it hosts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tracing::warn;
use trilby_go_syntax::parse_duration;

/// How long an unused actor stays active unless the app says otherwise.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How long calls under way may take when an actor moves, unless the app says otherwise.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How deep one chain of calls may re-enter one actor, unless the app says otherwise.
pub const DEFAULT_STACK_DEPTH: u32 = 32;

/// The actor types of an app and how to treat them. Without types the app only calls actors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostedActors {
    types: BTreeMap<Arc<str>, TypeSettings>,
}

/// How actors of one type are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeSettings {
    /// How long an unused actor stays active.
    pub idle_timeout: Duration,
    /// How long calls under way may take when an actor moves; zero cancels them at once.
    pub drain_timeout: Duration,
    /// How deep one chain of calls may re-enter an actor; `None`: a chain may not.
    pub reentrancy: Option<u32>,
}

/// The app's configuration (`GET /dapr/config`, or the first message of a gRPC app's actor stream), as it
/// gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppConfig {
    /// The types that it hosts.
    #[serde(deserialize_with = "nullable")]
    pub entities: Vec<String>,
    /// Go duration; empty for the default.
    #[serde(deserialize_with = "nullable")]
    pub actor_idle_timeout: String,
    /// Go duration; empty for the default.
    #[serde(deserialize_with = "nullable", rename = "drainOngoingCallTimeout")]
    pub drain_timeout: String,
    /// Whether calls under way may end when an actor moves; yes by default.
    #[serde(rename = "drainRebalancedActors")]
    pub drain: Option<bool>,
    /// Whether a chain of calls may come back to an actor.
    #[serde(deserialize_with = "nullable")]
    pub reentrancy: Reentrancy,
    /// Deprecated, without effect.
    pub reminders_storage_partitions: Option<i64>,
    /// Settings of single types, which take the place of those above.
    #[serde(deserialize_with = "nullable")]
    pub entities_config: Vec<EntityConfig>,
}

/// Settings of some of the types.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntityConfig {
    /// The types.
    #[serde(deserialize_with = "nullable")]
    pub entities: Vec<String>,
    /// Go duration; empty for that of all types.
    #[serde(deserialize_with = "nullable")]
    pub actor_idle_timeout: String,
    /// Go duration; empty for that of all types.
    #[serde(deserialize_with = "nullable", rename = "drainOngoingCallTimeout")]
    pub drain_timeout: String,
    /// Takes the place of the common setting as a whole.
    pub reentrancy: Option<Reentrancy>,
}

/// Whether a chain of calls may come back to an actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reentrancy {
    /// Whether it may.
    pub enabled: bool,
    /// How deep; 32 by default.
    pub max_stack_depth: Option<u32>,
}

/// Why an app's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not the JSON it should be.
    #[error("invalid app configuration: {0}")]
    Json(serde_json::Error),
    /// A setting for all types is not a duration.
    #[error("invalid app configuration: {field} {text:?}: {reason}")]
    Duration {
        /// The setting.
        field: &'static str,
        /// What it says.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl HostedActors ===

impl HostedActors {
    /// Makes sense of an app's configuration. What is wrong for single types is logged and replaced by
    /// the default. `dissemination`: how long a round may take; a drain must end before that.
    ///
    /// # Errors
    /// A setting for all types is not a duration.
    pub fn new(config: &AppConfig, dissemination: Duration) -> Result<Self, ConfigError> {
        if config
            .reminders_storage_partitions
            .is_some_and(|partitions| partitions != 0)
        {
            warn!("remindersStoragePartitions is deprecated and has no effect");
        }
        let common = config.common(dissemination)?;
        let usable = |entity: &&String| {
            let reserved = crate::key::is_reserved(entity);
            if reserved {
                warn!(actor_type = %entity, "an app cannot host a reserved actor type");
            }
            !reserved && !entity.is_empty()
        };
        let mut hosted = Self::default();
        for entity in config.entities.iter().filter(usable) {
            hosted.types.insert(entity.as_str().into(), common);
        }
        for entry in &config.entities_config {
            let settings = entry.settings(config, common, dissemination);
            hosted.apply(entry, settings);
        }
        Ok(hosted)
    }

    fn apply(&mut self, entry: &EntityConfig, settings: TypeSettings) {
        for entity in &entry.entities {
            match self.types.get_mut(entity.as_str()) {
                Some(slot) => *slot = settings,
                None => {
                    warn!(actor_type = %entity, "entitiesConfig names an actor type that the app does not host")
                }
            }
        }
    }

    /// The types, ascending.
    pub fn types(&self) -> impl Iterator<Item = &Arc<str>> {
        self.types.keys()
    }

    /// How actors of a type are treated; `None` if the app does not host it.
    pub fn get(&self, actor_type: &str) -> Option<&TypeSettings> {
        self.types.get(actor_type)
    }

    /// Whether the app hosts nothing.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}

// === impl AppConfig ===

impl AppConfig {
    /// Reads the body of `/dapr/config`. What else it holds is ignored.
    ///
    /// # Errors
    /// It is not JSON of that form.
    pub fn from_json(body: &[u8]) -> Result<Self, ConfigError> {
        serde_json::from_slice(body).map_err(ConfigError::Json)
    }

    fn common(&self, dissemination: Duration) -> Result<TypeSettings, ConfigError> {
        let idle = duration("actorIdleTimeout", &self.actor_idle_timeout)?;
        let drain = duration("drainOngoingCallTimeout", &self.drain_timeout)?;
        Ok(TypeSettings {
            idle_timeout: idle.unwrap_or(DEFAULT_IDLE_TIMEOUT),
            drain_timeout: self.drain_within(drain.unwrap_or(DEFAULT_DRAIN_TIMEOUT), dissemination),
            reentrancy: self.reentrancy.depth(),
        })
    }

    /// Without draining nothing is waited for, whatever the timeout says.
    fn drain_within(&self, timeout: Duration, dissemination: Duration) -> Duration {
        if self.drain == Some(false) {
            return Duration::ZERO;
        }
        if timeout < dissemination {
            return timeout;
        }
        let clamped = dissemination.mul_f64(0.8).max(DEFAULT_DRAIN_TIMEOUT);
        warn!(
            "drainOngoingCallTimeout {timeout:?} meets or exceeds the dissemination timeout \
             {dissemination:?}, clamping to {clamped:?}"
        );
        clamped
    }
}

// === impl EntityConfig ===

impl EntityConfig {
    fn settings(
        &self,
        config: &AppConfig,
        common: TypeSettings,
        dissemination: Duration,
    ) -> TypeSettings {
        let lenient = |field, text: &str| {
            duration(field, text).unwrap_or_else(|error| {
                warn!(%error, entities = ?self.entities, "using the default");
                None
            })
        };
        let drain = lenient("drainOngoingCallTimeout", &self.drain_timeout);
        TypeSettings {
            idle_timeout: lenient("actorIdleTimeout", &self.actor_idle_timeout)
                .unwrap_or(common.idle_timeout),
            drain_timeout: drain.map_or(common.drain_timeout, |drain| {
                config.drain_within(drain, dissemination)
            }),
            reentrancy: self.reentrancy.map_or(common.reentrancy, Reentrancy::depth),
        }
    }
}

// === impl Reentrancy ===

impl Reentrancy {
    fn depth(self) -> Option<u32> {
        self.enabled
            .then(|| self.max_stack_depth.unwrap_or(DEFAULT_STACK_DEPTH))
    }
}

fn duration(field: &'static str, text: &str) -> Result<Option<Duration>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |error: trilby_go_syntax::DurationError| ConfigError::Duration {
        field,
        text: text.to_owned(),
        reason: error.to_string(),
    };
    parse_duration(text).map(Some).map_err(invalid)
}

/// Apps written in Go send `null` for empty lists.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
