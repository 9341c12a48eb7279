//! Why something was not done, and what that means to callers.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;
use trilby_components::causes::with_causes;
use trilby_components::configuration::ConfigurationError;
use trilby_components::state::StateError;
use trilby_components_sql::attempts::Attempted;

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no connection to be had: nothing was carried out.
    Away,
    /// The connection broke, or the answer makes no sense: nobody knows what was carried out.
    Lost,
    /// Rolled back by the server since somebody else was in the way: it may be tried again at once.
    Conflict,
    /// The server cannot do it now: nothing was carried out.
    Busy,
    /// The server takes no writes.
    ReadOnly,
    /// There is one like it already.
    Taken,
    /// The request can never be carried out.
    Request,
    /// Anything else that the server has against it.
    Refused,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server, or the way to it.
    Server {
        /// What can be done about it.
        kind: Kind,
        /// The reason.
        reason: String,
    },
    /// Decided here.
    Decided(StateError),
}

impl Failure {
    /// The server's, or that of the way to it.
    pub(crate) fn server(kind: Kind, reason: String) -> Self {
        Self::Server { kind, reason }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Server { kind, .. } => Some(*kind),
            Self::Decided(_) => None,
        }
    }

    /// Whether the connection that it came over is of no more use.
    pub(crate) fn spoils_connection(&self) -> bool {
        matches!(self.kind(), Some(Kind::Lost | Kind::Away | Kind::ReadOnly))
    }

    /// The reason, for whoever starts the component.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Server { reason, .. } => reason,
            Self::Decided(error) => error.to_string(),
        }
    }

    /// What it means to a caller of the state API.
    pub(crate) fn into_state(self) -> StateError {
        match self {
            Self::Decided(error) => error,
            Self::Server { kind, reason } => {
                let text = format!("PostgreSQL: {reason}");
                match kind {
                    Kind::Conflict => StateError::Conflict(text),
                    Kind::Away | Kind::Lost | Kind::Busy | Kind::ReadOnly => {
                        StateError::Unavailable(text)
                    }
                    Kind::Request => StateError::InvalidRequest(text),
                    Kind::Refused | Kind::Taken => StateError::Store(text),
                }
            }
        }
    }
}

impl Failure {
    /// What it means to a caller of the configuration API.
    pub(crate) fn into_configuration(self) -> ConfigurationError {
        match self.into_state() {
            StateError::Unavailable(text) => ConfigurationError::Unavailable(text),
            StateError::InvalidRequest(text) => ConfigurationError::InvalidRequest(text),
            other => ConfigurationError::Store(other.to_string()),
        }
    }
}

impl Attempted for Failure {
    fn is_conflict(&self) -> bool {
        self.kind() == Some(Kind::Conflict)
    }

    fn is_loss(&self) -> bool {
        self.kind() == Some(Kind::Lost)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::Decided(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // Details and hints are left out: they repeat values.
            Some(told) => Self::server(
                kind(told.code()),
                format!("{} (SQLSTATE {})", told.message(), told.code().code()),
            ),
            None => Self::server(Kind::Lost, with_causes(&error)),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let reason = match error {
            PoolError::Backend(error) => match error.as_db_error() {
                Some(told) => format!("{} (SQLSTATE {})", told.message(), told.code().code()),
                None => with_causes(&error),
            },
            PoolError::Closed => "the component was closed".to_owned(),
            other => with_causes(&other),
        };
        Self::server(Kind::Away, reason)
    }
}

/// What a code of the server means; its first two characters are its class.
fn kind(code: &SqlState) -> Kind {
    match code.code() {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Kind::Conflict,
        // read_only_sql_transaction
        "25006" => Kind::ReadOnly,
        // lock_not_available, query_canceled, and all of "the server is ending"
        "55P03" | "57014" => Kind::Busy,
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Kind::Lost,
        // unique_violation, duplicate_table, duplicate_object
        "23505" | "42P07" | "42710" => Kind::Taken,
        // program_limit_exceeded: a key that is too long for an index
        "54000" => Kind::Request,
        code => match code.get(..2) {
            Some("08") => Kind::Lost,
            // data_exception: what the request brings is no value of its type
            Some("22") => Kind::Request,
            // insufficient_resources: connections, memory, disk
            Some("53") => Kind::Busy,
            _ => Kind::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::error::SqlState;
    use trilby_components::state::StateError;

    use super::{Failure, Kind, kind};

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, expected) in [
            ("40001", Kind::Conflict),
            ("40P01", Kind::Conflict),
            ("25006", Kind::ReadOnly),
            ("57014", Kind::Busy),
            ("53100", Kind::Busy),
            ("57P01", Kind::Lost),
            ("08006", Kind::Lost),
            ("22P05", Kind::Request),
            ("54000", Kind::Request),
            ("42501", Kind::Refused),
            ("28P01", Kind::Refused),
        ] {
            assert_eq!(kind(&SqlState::from_code(code)), expected, "{code}");
        }
    }

    #[test]
    fn only_what_may_succeed_later_is_unavailable() {
        let error = |kind| {
            let reason = "x".to_owned();
            Failure::Server { kind, reason }.into_state()
        };
        for kind in [
            Kind::Away,
            Kind::Lost,
            Kind::Conflict,
            Kind::Busy,
            Kind::ReadOnly,
        ] {
            assert!(error(kind).is_transient(), "{kind:?}");
        }
        assert!(error(Kind::Request).is_final());
        assert_eq!(
            error(Kind::Refused),
            StateError::Store("PostgreSQL: x".to_owned())
        );
    }
}
