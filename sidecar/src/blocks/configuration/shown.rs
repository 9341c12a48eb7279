//! Items in JSON, as applications see them: what is empty is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use trilby_components::configuration::{Item, Items};

/// An item in JSON.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
}

impl<'a> Shown<'a> {
    /// These items.
    #[must_use]
    pub fn all(items: &'a Items) -> BTreeMap<&'a str, Self> {
        let shown = |(key, item): (&'a String, &'a Item)| (key.as_str(), Self::from(item));
        items.iter().map(shown).collect()
    }
}

impl<'a> From<&'a Item> for Shown<'a> {
    fn from(item: &'a Item) -> Self {
        Self {
            value: &item.value,
            version: &item.version,
            metadata: &item.metadata,
        }
    }
}
