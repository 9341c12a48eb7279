//! Calls to actors and their answers.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ActorKey;

/// Header names and values; a name may have several values. Names keep their case and are compared
/// without it.
pub type Metadata = BTreeMap<String, Vec<String>>;

/// Carries the id of a chain of calls that may re-enter an actor.
pub const REENTRANCY_HEADER: &str = "Dapr-Reentrancy-Id";

/// Marks an app's answer as an error of the actor, whatever its value: the caller gets it as it is.
pub const ERROR_RESPONSE_HEADER: &str = "X-DaprErrorResponseHeader";

/// A call of one method of one actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorRequest {
    /// Who is called.
    pub actor: ActorKey,
    /// Which method, normalised.
    pub method: String,
    /// The verb of an HTTP caller and its query. The app never sees the verb: it is always called
    /// with `PUT`.
    pub http: Option<HttpCall>,
    /// Type of `data`; empty for none.
    pub content_type: String,
    /// Headers of the caller, [`REENTRANCY_HEADER`] among them if there is one.
    pub metadata: Metadata,
    /// The argument.
    pub data: Bytes,
}

/// What an HTTP caller said beyond the method's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpCall {
    /// In upper case.
    pub verb: String,
    /// Without the question mark.
    pub query: String,
}

/// What an actor's method answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActorResponse {
    /// HTTP status, always 200 for apps that speak gRPC.
    pub status: u16,
    /// Headers of the app.
    pub headers: Metadata,
    /// Type of `data`, as the app gave it; may be empty.
    pub content_type: String,
    /// The result.
    pub data: Bytes,
}

// === impl ActorRequest ===

impl ActorRequest {
    /// A call without argument and headers.
    pub fn new(actor: ActorKey, method: impl Into<String>) -> Self {
        Self {
            actor,
            method: method.into(),
            http: None,
            content_type: String::new(),
            metadata: Metadata::new(),
            data: Bytes::new(),
        }
    }
}

// === impl ActorResponse ===

impl ActorResponse {
    /// Whether the app calls its answer an error of the actor.
    pub fn is_actor_error(&self) -> bool {
        first(&self.headers, ERROR_RESPONSE_HEADER).is_some()
    }
}

/// The first value of a header, whose name is compared without regard to case.
pub fn first<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let (_, values) = metadata
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    values.first().map(String::as_str)
}
