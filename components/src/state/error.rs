//! Why a state operation failed.

/// Failures of a state store, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The key changed since its etag was read (or exists, for a first-write without one): read again.
    #[error("possible etag mismatch. error from state store: {0}")]
    EtagMismatch(String),
    /// The etag can never be one of this store's: do not retry.
    #[error("invalid etag value: {0}")]
    EtagInvalid(String),
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The store cannot be reached or did not answer in time: a retry may succeed, and a write may have
    /// happened.
    #[error("{0}")]
    Unavailable(String),
    /// Others kept coming first, so the store took all of it back: a retry may succeed.
    #[error("{0}")]
    Conflict(String),
    /// The store answered with an error of its own, or holds something that is not ours to read.
    #[error("{0}")]
    Store(String),
    /// The store says itself how the API is to answer.
    #[error("{0}")]
    Custom(Box<CustomError>),
}

/// An error with which a store decides what applications see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CustomError {
    /// How it reads inside of other texts.
    pub text: String,
    /// The text for people.
    pub message: String,
    /// The gRPC code, as a number.
    pub grpc: i32,
    /// The HTTP status.
    pub http: http::StatusCode,
    /// The error code of the HTTP body; empty for the reason.
    pub code: String,
    /// Why, as a constant that programs compare.
    pub reason: String,
    /// Who defines that constant.
    pub domain: String,
}

impl StateError {
    /// Whether the same request fails again, however often it is made.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::EtagMismatch(_) | Self::EtagInvalid(_) | Self::InvalidRequest(_) => true,
            Self::Unavailable(_) | Self::Conflict(_) | Self::Store(_) | Self::Custom(_) => false,
        }
    }

    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_))
    }
}
