//! Why something was not done, and what that means to callers.

use mysql_async::{DriverError, Error, ServerError};
use trilby_components::state::StateError;
use trilby_components_sql::attempts::Attempted;

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The connection broke, or the answer makes no sense: nobody knows what was carried out.
    Lost,
    /// The server took it back since somebody else was in the way: it may be tried again at once.
    Conflict,
    /// Nothing was carried out, and later it may be.
    Busy,
    /// The server takes no writes.
    ReadOnly,
    /// It is there already.
    Exists,
    /// The request can never be carried out.
    Request,
    /// Anything else.
    Refused,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// For callers of the state API.
    pub(crate) error: StateError,
}

impl Failure {
    pub(crate) fn new(kind: Kind, reason: &str) -> Self {
        let text = format!("MySQL: {reason}");
        let error = match kind {
            Kind::Conflict => StateError::Conflict(text),
            Kind::Lost | Kind::Busy | Kind::ReadOnly => StateError::Unavailable(text),
            Kind::Request => StateError::InvalidRequest(text),
            Kind::Exists | Kind::Refused => StateError::Store(text),
        };
        Self { kind, error }
    }

    /// Of an attempt to connect: nothing was carried out.
    pub(crate) fn of_connecting(error: &Error) -> Self {
        Self::new(Kind::Busy, &reason(error))
    }

    /// Whether the connection that it came over is to be closed: a server that takes no writes any more has a successor.
    pub(crate) fn spoils_connection(&self) -> bool {
        self.kind == Kind::ReadOnly
    }
}

impl Attempted for Failure {
    fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    fn is_loss(&self) -> bool {
        self.kind == Kind::Lost
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Server(told) => kind(told.code),
            Error::Driver(DriverError::PacketTooLarge) => Kind::Request,
            Error::Driver(DriverError::PoolDisconnected) => Kind::Busy,
            Error::Driver(_) | Error::Io(_) | Error::Other(_) | Error::Url(_) => Kind::Lost,
        };
        Self::new(kind, &reason(&error))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let kind = Kind::Refused;
        Self { kind, error }
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Server(ServerError { code, message, .. }) => format!("{message} (error {code})"),
        Error::Driver(DriverError::PoolDisconnected) => "the component was closed".to_owned(),
        Error::Driver(DriverError::PacketTooLarge) => {
            "the value is larger than max_allowed_packet of the server".to_owned()
        }
        Error::Driver(error) => error.to_string(),
        Error::Io(error) => error.to_string(),
        Error::Other(error) => error.to_string(),
        Error::Url(error) => error.to_string(),
    }
}

/// What a code of the server means; those above 1900 differ between MySQL and MariaDB.
fn kind(code: u16) -> Kind {
    match code {
        // ER_CHECKREAD (MariaDB: written since the snapshot), ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
        1020 | 1205 | 1213 => Kind::Conflict,
        // ER_OPTION_PREVENTS_STATEMENT (--read-only), ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE
        1290 | 1792 | 1836 => Kind::ReadOnly,
        // ER_CON_COUNT_ERROR, ER_OUT_OF_RESOURCES, ER_UNKNOWN_COM_ERROR (Galera's node is no member), ER_DISK_FULL,
        // ER_RECORD_FILE_FULL, ER_TOO_MANY_USER_CONNECTIONS, ER_LOCK_TABLE_FULL, ER_USER_LIMIT_REACHED,
        // ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT
        1040 | 1041 | 1047 | 1021 | 1114 | 1203 | 1206 | 1226 | 1317 | 1969 | 3024 => Kind::Busy,
        // ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED (MariaDB), ER_CLIENT_INTERACTION_TIMEOUT
        1053 | 1927 | 4031 => Kind::Lost,
        // ER_DB_CREATE_EXISTS, ER_TABLE_EXISTS_ERROR, ER_DUP_FIELDNAME, ER_DUP_KEYNAME
        1007 | 1050 | 1060 | 1061 => Kind::Exists,
        // ER_NET_PACKET_TOO_LARGE, ER_TRUNCATED_WRONG_VALUE (a moment too late), ER_TRUNCATED_WRONG_VALUE_FOR_FIELD,
        // ER_DATA_TOO_LONG, ER_DATETIME_FUNCTION_OVERFLOW, ER_INVALID_JSON_TEXT, ER_JSON_DOCUMENT_TOO_DEEP,
        // ER_CONSTRAINT_FAILED (MariaDB: no JSON)
        1153 | 1292 | 1366 | 1406 | 1441 | 3140 | 3157 | 4025 => Kind::Request,
        _ => Kind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::state::StateError;

    use super::{Failure, Kind, kind};

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, expected) in [
            (1213, Kind::Conflict),
            (1205, Kind::Conflict),
            (1290, Kind::ReadOnly),
            (1040, Kind::Busy),
            (1114, Kind::Busy),
            (1927, Kind::Lost),
            (1406, Kind::Request),
            (4025, Kind::Request),
            (1061, Kind::Exists),
            (1045, Kind::Refused),
            (1142, Kind::Refused),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }

    #[test]
    fn only_what_may_succeed_later_is_passing() {
        for kind in [Kind::Lost, Kind::Conflict, Kind::Busy, Kind::ReadOnly] {
            assert!(Failure::new(kind, "x").error.is_transient(), "{kind:?}");
        }
        assert!(Failure::new(Kind::Request, "x").error.is_final());
        let refused = Failure::new(Kind::Refused, "x").error;
        assert_eq!(refused, StateError::Store("MySQL: x".to_owned()));
    }
}
