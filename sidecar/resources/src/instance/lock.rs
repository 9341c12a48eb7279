//! A lock store in service.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::DropGuard;
use trilby_component_catalogue::Field;
use trilby_components::{
    definition,
    lock::{Claim, LockError, LockStore, Release},
    metadata::{Metadata, Schema},
};

use super::StateSettings;
use crate::initialise::Failure;

/// What separates the parts of a key in the store.
const SEPARATOR: &str = "||";

/// Metadata of any lock store that the sidecar uses itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockSettings {
    /// How locks are told apart from other applications': `appid`, `name`, `none` or a prefix, which is lower-cased.
    #[schemars(extend("default" = "appid"))]
    key_prefix: Option<String>,
}

impl Schema for LockSettings {}

/// What every lock store takes beside its own settings.
#[must_use]
pub fn lock_fields() -> Vec<Field> {
    definition::fields::<LockSettings>()
}

impl LockSettings {
    /// Takes the sidecar's own settings out of a lock store's metadata: the prefix, which it has in common with a state
    /// store.
    pub(crate) fn split(metadata: &Metadata) -> Result<(StateSettings, Metadata), Failure> {
        let (settings, rest) = metadata
            .split::<Self>()
            .map_err(|error| Failure::lasting(error.to_string()))?;
        let key_prefix = settings.key_prefix.map(|prefix| prefix.to_lowercase());
        if let Some(prefix) = key_prefix.as_ref().filter(|text| text.contains(SEPARATOR)) {
            return Err(Failure::lasting(format!(
                "failed to save lock keyprefix: input key/keyPrefix '{prefix}' can't contain '{SEPARATOR}'"
            )));
        }
        let settings = StateSettings {
            key_prefix,
            ..StateSettings::default()
        };
        Ok((settings, rest))
    }
}

/// A lock store and the sidecar's settings for it. It is itself a store, and is closed after its last clone is gone.
pub struct LockComponent {
    /// The component's name.
    pub name: String,
    /// Its `keyPrefix` in lower case; empty for the default.
    pub key_prefix: String,
    pub(super) store: Arc<dyn LockStore>,
    pub(super) _in_use: DropGuard,
}

impl fmt::Debug for LockComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockComponent({})", self.name)
    }
}

#[async_trait]
impl LockStore for LockComponent {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        self.store.try_lock(claim).await
    }

    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError> {
        self.store.unlock(resource, owner).await
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::metadata::Metadata;

    use super::LockSettings;

    #[test]
    fn a_prefix_that_no_key_can_have_is_refused() {
        let split = |prefix: &str| {
            let metadata = Metadata::new([("keyPrefix", prefix), ("other", "x")]).unwrap();
            LockSettings::split(&metadata)
        };
        let (settings, rest) = split("Own").unwrap();
        assert_eq!(settings.key_prefix.as_deref(), Some("own"));
        assert_eq!(rest.names().collect::<Vec<_>>(), ["other"]);
        let refused = split("a||B").unwrap_err();
        assert_eq!(
            refused.reason,
            "failed to save lock keyprefix: input key/keyPrefix 'a||b' can't contain '||'"
        );
    }
}
