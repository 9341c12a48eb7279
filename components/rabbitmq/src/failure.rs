//! What can go wrong between here and the broker, named for what can be done about it.

use std::time::Duration;

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};
use tokio::time::timeout;
use trilby_components::{binding::BindingError, pubsub::PubSubError, registry::InitError};

/// How long the broker may take for one answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Why something did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The request cannot be said to the broker at all.
    #[error("{0}")]
    Invalid(String),
    /// The broker refuses, and would again.
    #[error("{0}")]
    Refused(String),
    /// The broker is away, or did not answer in time.
    #[error("{0}")]
    Unavailable(String),
}

/// What a call to the broker comes to, which has [`ANSWER`] to end.
pub(crate) async fn answered<T>(
    what: &str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Failure> {
    match timeout(ANSWER, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::of(what, &error)),
        Err(_) => Err(Failure::Unavailable(format!(
            "{what}: no answer of the broker within {ANSWER:?}"
        ))),
    }
}

impl Failure {
    pub(crate) fn of(what: &str, error: &lapin::Error) -> Self {
        let text = format!("{what}: {error}");
        match error.kind() {
            ErrorKind::ProtocolError(error) if lasts(error.kind()) => Self::Refused(text),
            ErrorKind::InvalidProtocolVersion(_) => Self::Refused(text),
            ErrorKind::SerialisationError(_) => Self::Invalid(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Whether the broker would say the same again. That something is not there passes: what was deleted because nobody
/// used it is declared anew.
fn lasts(kind: &AMQPErrorKind) -> bool {
    match kind {
        AMQPErrorKind::Soft(error) => matches!(
            error,
            AMQPSoftError::ACCESSREFUSED | AMQPSoftError::PRECONDITIONFAILED
        ),
        AMQPErrorKind::Hard(error) => matches!(
            error,
            AMQPHardError::NOTALLOWED | AMQPHardError::NOTIMPLEMENTED | AMQPHardError::INVALIDPATH
        ),
    }
}

impl From<Failure> for PubSubError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(text) => Self::InvalidRequest(text),
            Failure::Refused(text) => Self::Broker(text),
            Failure::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<Failure> for BindingError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(text) => Self::InvalidRequest(text),
            Failure::Refused(error) => Self::Refused {
                error,
                reply: Box::default(),
            },
            Failure::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<Failure> for InitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(text) => Self::Invalid(text),
            Failure::Refused(text) | Failure::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

    use super::Failure;

    fn failure(kind: AMQPErrorKind) -> Failure {
        let error = AMQPError::new(kind, "why".into());
        Failure::of("it", &lapin::ErrorKind::ProtocolError(error).into())
    }

    #[test]
    fn what_the_broker_would_refuse_again_is_told_from_what_passes() {
        let refused = failure(AMQPSoftError::ACCESSREFUSED.into());
        assert!(matches!(&refused, Failure::Refused(text) if text.contains("why")));
        let gone = failure(AMQPSoftError::NOTFOUND.into());
        assert!(matches!(gone, Failure::Unavailable(_)), "declared anew");
        let forced = failure(AMQPHardError::CONNECTIONFORCED.into());
        assert!(matches!(forced, Failure::Unavailable(_)), "it restarts");
    }
}
