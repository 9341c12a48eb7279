//! Queries over stored documents: Dapr's query language (alpha), and the stores that answer it.
//!
//! A query finds what its application could also read by key: keys right below its prefix, with values that are JSON
//! documents for filters and sorting to look into.

mod fits;
mod parse;

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use serde_json::Number;

use super::{Item, StateError};
use crate::RequestMetadata;

pub use parse::QueryError;

/// How many bytes one answer may have. They are held in memory, and a message of gRPC has to take them.
pub const MAX_ANSWER: usize = 64 << 20;

/// A store that finds values by what they say.
#[async_trait]
pub trait Queryable: Send + Sync {
    /// The values that fit, in the order asked for.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] for what the store cannot compare, and for more than it answers at once.
    async fn query(&self, request: QueryRequest) -> Result<QueryPage, StateError>;
}

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRequest {
    /// The query.
    pub query: Query,
    /// What the keys start with, the separator `||` included; what follows has no further one. Empty for keys without
    /// any.
    pub prefix: String,
    /// Whatever the store understands.
    pub metadata: RequestMetadata,
}

impl QueryRequest {
    /// Whether the application could read `key` too: it is right below the prefix.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| !rest.contains("||"))
    }

    /// What is wrong with one whose answer has more than [`MAX_ANSWER`].
    #[must_use]
    pub fn oversized(store: &str) -> StateError {
        StateError::InvalidRequest(format!(
            "{store}: the answer has more than {MAX_ANSWER} bytes: ask for it in pages, with page.limit"
        ))
    }
}

/// Which documents, in which order, how many.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// What they have to say; `None` for all.
    pub filter: Option<Filter>,
    /// By what they are sorted, the most important first.
    pub sort: Vec<Sort>,
    /// Which part of them.
    pub page: Paging,
}

/// What a document has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// A field compares with a value. A field that is not there compares with none.
    Compare(Comparison, Path, Scalar),
    /// A field equals one of these values; there is at least one.
    In(Path, Vec<Scalar>),
    /// All of these; there are at least two.
    And(Vec<Self>),
    /// One of these; there are at least two.
    Or(Vec<Self>),
}

/// How a field compares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `EQ`.
    Equal,
    /// `NEQ`.
    NotEqual,
    /// `GT`.
    Greater,
    /// `GTE`.
    GreaterOrEqual,
    /// `LT`.
    Less,
    /// `LTE`.
    LessOrEqual,
}

impl Comparison {
    /// Its name in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "EQ",
            Self::NotEqual => "NEQ",
            Self::Greater => "GT",
            Self::GreaterOrEqual => "GTE",
            Self::Less => "LT",
            Self::LessOrEqual => "LTE",
        }
    }

    /// Whether it takes an order of values.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// What is wrong with one that takes an order, of a value that has none.
    #[must_use]
    pub fn unordered(self, path: &Path, value: &Scalar) -> StateError {
        let name = self.name();
        StateError::InvalidRequest(match value {
            // The first words are upstream's.
            Scalar::Text(text) => format!(
                "unsupported type of value {text}; string type not permitted: {name} of {path} takes a number"
            ),
            _ => format!("unsupported type of value: {name} of {path} takes a number"),
        })
    }
}

/// Where a field is: the names on the way to it, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// The names on the way.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Path {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        parse::path("", text)
    }
}

/// As it is in a query.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A value that a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Whole numbers from -2^63 to 2^64 are exact.
    Number(Number),
    /// A text.
    Text(String),
}

/// One criterion of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub path: Path,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Which part of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paging {
    /// At most this many; `None` for all.
    pub limit: Option<u32>,
    /// Where to go on: [`QueryPage::token`] of the page before.
    pub token: Option<String>,
}

impl Paging {
    /// How many values come before this page, where that is what tokens are, as upstream's.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] for a token that is no such number.
    pub fn skipped(&self) -> Result<u64, StateError> {
        let skipped = self.token.as_deref().map_or(Ok(0), str::parse::<u64>);
        match skipped {
            Ok(skipped) if i64::try_from(skipped).is_ok() => Ok(skipped),
            Ok(_) | Err(_) => Err(StateError::InvalidRequest(
                "page.token is no token of a page before".to_owned(),
            )),
        }
    }

    /// The token of the page after one that ends behind so many values; there is none without a limit.
    #[must_use]
    pub fn next(&self, behind: u64) -> Option<String> {
        self.limit.map(|_| behind.to_string())
    }
}

/// What [`Queryable::query`] answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueryPage {
    /// What was found.
    pub matches: Vec<Match>,
    /// Where the next page begins; `None` when the query has no limit.
    pub token: Option<String>,
}

/// One value that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Its full key.
    pub key: String,
    /// The value, or why it could not be read.
    pub item: Result<Item, StateError>,
}

#[cfg(test)]
mod tests;
