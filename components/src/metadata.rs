//! Component metadata: a list of names and texts that decodes into a documented struct.
//!
//! Names are case-insensitive and given once. Values are text in the forms of [`value`] and of the
//! deserializer: booleans are permissive, lists split at commas, an empty text means "not given".

mod decode;
pub mod value;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tracing::warn;

/// Why metadata does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The same key in two spellings.
    #[error("key {0} is duplicate in the metadata")]
    Duplicate(String),
    /// A key that the component cannot do without.
    #[error("metadata property {0} is missing")]
    Missing(String),
    /// A value that the key cannot have.
    #[error("metadata property {key} is invalid: {reason}")]
    Invalid {
        /// The key, as the struct spells it.
        key: String,
        /// What is wrong with the value, which is not repeated: it may be a secret.
        reason: String,
    },
}

impl MetadataError {
    /// A value that decoded but does not fit.
    pub fn invalid(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.into(),
            reason: reason.into(),
        }
    }
}

/// A struct that metadata decodes into: `Deserialize` with the metadata's own spelling of each key, and `JsonSchema`
/// for its [description](crate::definition).
pub trait Schema: DeserializeOwned + JsonSchema {
    /// `(alias, key)`: the alias counts only when its key is not given.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];
}

/// The metadata of one component, secrets resolved. `Debug` shows names only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// By lower-cased name: the name as written, and the value.
    entries: BTreeMap<String, (String, String)>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Metadata {
    /// From names and values in any order.
    ///
    /// # Errors
    /// [`MetadataError::Duplicate`] when two names differ only in case, or not at all.
    pub fn new<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, MetadataError> {
        let mut entries = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.into();
            let lower = name.to_lowercase();
            if entries.contains_key(&lower) {
                return Err(MetadataError::Duplicate(name));
            }
            entries.insert(lower, (name, value.into()));
        }
        Ok(Self { entries })
    }

    /// The value of `name`, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.entries.get(&name.to_lowercase())?;
        Some(value)
    }

    /// The names as they were written, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.values().map(|(name, _)| name.as_str())
    }

    /// Decodes everything into `T`; names that `T` does not know are reported in one warning.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn decode<T: Schema>(&self) -> Result<T, MetadataError> {
        let (value, rest) = self.split()?;
        let unknown: Vec<&str> = rest.names().collect();
        if !unknown.is_empty() {
            warn!(
                ?unknown,
                "metadata properties that this component does not know have no effect"
            );
        }
        Ok(value)
    }

    /// Decodes what `T` knows and returns the rest.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn split<T: Schema>(&self) -> Result<(T, Self), MetadataError> {
        let mut rest = self.clone();
        let value = T::deserialize(decode::Take::new(&mut rest.entries, T::ALIASES))
            .map_err(MetadataError::from)?;
        Ok((value, rest))
    }
}

#[cfg(test)]
mod tests;
