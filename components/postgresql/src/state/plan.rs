//! Transactions as statements, over keys that PostgreSQL can have.

use trilby_components::state::{Operation, StateError};

pub(super) use trilby_components_sql::plan::{Action, Guard, Step};

/// The statements of a transaction.
///
/// # Errors
/// A key cannot be one, or what is asked of it can never be true.
pub(super) fn plan(operations: &[Operation]) -> Result<Vec<Step<'_>>, StateError> {
    trilby_components_sql::plan::plan(operations, check_key)
}

/// Whether the server can have this key at all.
pub(super) fn check_key(key: &str) -> Result<(), StateError> {
    match key.contains('\0') {
        true => Err(StateError::InvalidRequest(format!(
            "PostgreSQL: key {key:?} has a NUL, which no text in PostgreSQL can have"
        ))),
        false => Ok(()),
    }
}
