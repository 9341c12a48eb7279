//! Comma-separated values in one argument.

use std::{convert::Infallible, fmt, str::FromStr};

/// A comma-separated list, kept as it was written so that rendering changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CommaList(String);

impl CommaList {
    /// The entries, trimmed; empty ones are skipped.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing but blanks was written.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl From<String> for CommaList {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for CommaList {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for CommaList {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl fmt::Display for CommaList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All entries of a repeatable flag whose values are lists.
pub fn entries(lists: &[CommaList]) -> impl Iterator<Item = &str> {
    lists.iter().flat_map(CommaList::iter)
}
