//! What a state store is asked to do.

use std::{str::FromStr, time::Duration};

use bytes::Bytes;

use super::StateError;
use crate::RequestMetadata;

/// What two writers of one key may do to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Concurrency {
    /// The caller said nothing: an etag is enforced, a write without one wins.
    #[default]
    Unspecified,
    /// Only the writer that saw the current value may write; without an etag the key must not exist.
    FirstWrite,
    /// The last writer wins.
    LastWrite,
}

impl FromStr for Concurrency {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        match text {
            "" => Ok(Self::Unspecified),
            "first-write" => Ok(Self::FirstWrite),
            "last-write" => Ok(Self::LastWrite),
            other => Err(StateError::InvalidRequest(format!(
                "unrecognized concurrency model '{other}'"
            ))),
        }
    }
}

/// How far a write must have spread, or how fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// The store's own default.
    #[default]
    Unspecified,
    /// One replica is enough.
    Eventual,
    /// All replicas.
    Strong,
}

impl FromStr for Consistency {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        match text {
            "" => Ok(Self::Unspecified),
            "eventual" => Ok(Self::Eventual),
            "strong" => Ok(Self::Strong),
            other => Err(StateError::InvalidRequest(format!(
                "unrecognized consistency model '{other}'"
            ))),
        }
    }
}

/// Options of a write or a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// See [`Concurrency`].
    pub concurrency: Concurrency,
    /// See [`Consistency`].
    pub consistency: Consistency,
}

/// A value to store. The bytes read back are the same, unless the store's layout keeps documents: then JSON comes
/// back with the same meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One JSON document.
    Json(Bytes),
    /// Bytes without a known form.
    Binary(Bytes),
}

impl Value {
    /// The bytes, whichever form they have.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// How long a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// Until it is deleted; an earlier expiry is taken back.
    Never,
    /// This long after the write. Whole seconds, at least one.
    After(Duration),
}

impl Ttl {
    /// The request metadata that carries it, in seconds.
    pub const METADATA_KEY: &str = "ttlInSeconds";

    /// From a number of seconds; zero and less mean no expiry.
    #[must_use]
    pub fn from_seconds(seconds: i32) -> Self {
        match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Self::After(Duration::from_secs(seconds)),
            _ => Self::Never,
        }
    }

    /// Reads `ttlInSeconds`; `None` when it is absent or empty.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] when it is not an integer from -1 to 2147483647.
    pub fn from_metadata(metadata: &RequestMetadata) -> Result<Option<Self>, StateError> {
        let text = match metadata.get(Self::METADATA_KEY) {
            Some(text) if !text.is_empty() => text,
            _ => return Ok(None),
        };
        match text.parse::<i32>() {
            Ok(seconds) if seconds >= -1 => Ok(Some(Self::from_seconds(seconds))),
            _ => Err(StateError::InvalidRequest(format!(
                "incorrect value for metadata '{}': {text:?} is not an integer from -1 to {}",
                Self::METADATA_KEY,
                i32::MAX
            ))),
        }
    }
}

/// Reads one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// The full key.
    pub key: String,
    /// See [`Consistency`].
    pub consistency: Consistency,
    /// Whatever the store understands.
    pub metadata: RequestMetadata,
}

impl GetRequest {
    /// A read with the store's defaults.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            consistency: Consistency::default(),
            metadata: RequestMetadata::new(),
        }
    }
}

/// Writes one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetRequest {
    /// The full key.
    pub key: String,
    /// What to store.
    pub value: Value,
    /// The version that the writer saw; `None` and `Some("")` mean none.
    pub etag: Option<String>,
    /// See [`WriteOptions`].
    pub options: WriteOptions,
    /// How long the value lives; `None` for the store's default. Already taken out of `metadata` with
    /// [`Ttl::from_metadata`], which is where stores look no more.
    pub ttl: Option<Ttl>,
    /// Whatever the store understands.
    pub metadata: RequestMetadata,
}

impl SetRequest {
    /// An unconditional write with the store's defaults.
    pub fn new(key: impl Into<String>, value: Value) -> Self {
        Self {
            key: key.into(),
            value,
            etag: None,
            options: WriteOptions::default(),
            ttl: None,
            metadata: RequestMetadata::new(),
        }
    }
}

/// Removes one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The full key.
    pub key: String,
    /// The version that the caller saw; `None` and `Some("")` mean none.
    pub etag: Option<String>,
    /// See [`WriteOptions`].
    pub options: WriteOptions,
    /// Whatever the store understands.
    pub metadata: RequestMetadata,
}

impl DeleteRequest {
    /// An unconditional removal with the store's defaults.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            etag: None,
            options: WriteOptions::default(),
            metadata: RequestMetadata::new(),
        }
    }
}

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write a key.
    Upsert(SetRequest),
    /// Remove a key.
    Delete(DeleteRequest),
}

impl Operation {
    /// The key it touches.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Upsert(request) => &request.key,
            Self::Delete(request) => &request.key,
        }
    }
}
