//! What a caller can do about an error of the driver's.

use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use trilby_components::state::StateError;

/// There is a document of this key already.
const DUPLICATE_KEY: i32 = 11_000;
/// Two writers met on a document, and the other one comes first.
const WRITE_CONFLICT: i32 = 112;
/// The request, with all that the server makes of it, is larger than a document may be.
const TOO_LARGE: [i32; 2] = [10_334, 17_419];
/// The right, or the login, is missing.
const FORBIDDEN: [i32; 2] = [13, 18];

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Decided here.
    Decided(StateError),
    /// The server, or the way to it.
    Driver(Error),
}

impl Failure {
    /// Whether there is a document of this key already.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.code() == Some(DUPLICATE_KEY)
    }

    /// Whether somebody else was in the way, so that nothing was done and it may be tried again at once.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Self::Decided(_) => false,
            Self::Driver(error) => {
                self.code() == Some(WRITE_CONFLICT)
                    || error.contains_label(TRANSIENT_TRANSACTION_ERROR) && self.code().is_some()
            }
        }
    }

    fn code(&self) -> Option<i32> {
        match self {
            Self::Decided(_) => None,
            Self::Driver(error) => match error.kind.as_ref() {
                ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
                ErrorKind::Command(error) => Some(error.code),
                _ => None,
            },
        }
    }

    /// What it means to a caller of the state API.
    pub(crate) fn into_state(self) -> StateError {
        let code = self.code();
        let error = match self {
            Self::Decided(error) => return error,
            Self::Driver(error) => error,
        };
        let text = format!("MongoDB: {error}");
        match (error.kind.as_ref(), code) {
            (_, Some(code)) if TOO_LARGE.contains(&code) => StateError::InvalidRequest(text),
            (_, Some(code)) if FORBIDDEN.contains(&code) => StateError::Store(text),
            (_, Some(WRITE_CONFLICT)) => StateError::Unavailable(text),
            (ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. }, _) => {
                StateError::InvalidRequest(text)
            }
            (
                ErrorKind::Io(_)
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::ServerSelection { .. }
                | ErrorKind::DnsResolve { .. }
                | ErrorKind::Shutdown
                | ErrorKind::Authentication { .. },
                _,
            ) => StateError::Unavailable(text),
            _ if error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                || error.contains_label(mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT)
                || error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR) =>
            {
                StateError::Unavailable(text)
            }
            _ => StateError::Store(text),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::Decided(error)
    }
}
