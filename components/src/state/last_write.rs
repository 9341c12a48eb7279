//! Transactions for stores that write each key once.
//!
//! Etags and first-write are judged against the state before the transaction, and of several writes to one key only the last one
//! stays. So a transaction is, for each key, its last operation under what all operations on it ask of the state before.

use std::collections::BTreeMap;

use super::{Concurrency, DeleteRequest, Operation, SetRequest, StateError};

/// What has to be true of a key before it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard<'a> {
    /// Nothing.
    #[default]
    None,
    /// It is there, with this etag.
    Etag(&'a str),
    /// It is not there.
    Absent,
}

impl<'a> Guard<'a> {
    /// What an operation asks. An empty etag is none; as upstream has it, a removal takes no notice of first-write.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Self {
        let (etag, creates) = match operation {
            Operation::Upsert(SetRequest { etag, options, .. }) => {
                (etag, options.concurrency == Concurrency::FirstWrite)
            }
            Operation::Delete(DeleteRequest { etag, .. }) => (etag, false),
        };
        match etag.as_deref() {
            Some(etag) if !etag.is_empty() => Self::Etag(etag),
            _ if creates => Self::Absent,
            _ => Self::None,
        }
    }
}

/// What becomes of a key, under a guard of the store's own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite<'a, G> {
    /// The last operation on it.
    pub operation: &'a Operation,
    /// What all operations on it ask; the default is nothing.
    pub guard: G,
}

/// What becomes of each key, in their order, where an operation asks for `asked`.
///
/// # Errors
/// Those of `asked`, or what is asked of a key can never be true.
pub fn last_writes<'a, G>(
    operations: &'a [Operation],
    asked: impl Fn(&'a Operation) -> Result<G, StateError>,
) -> Result<Vec<LastWrite<'a, G>>, StateError>
where
    G: Copy + Default + PartialEq,
{
    let mut writes: BTreeMap<&str, LastWrite<'a, G>> = BTreeMap::new();
    for operation in operations {
        let (asked, nothing) = (asked(operation)?, G::default());
        let known = writes.get(operation.key()).map(|write| write.guard);
        let guard = match known.unwrap_or_default() {
            known if known == nothing => asked,
            known if asked == nothing || asked == known => known,
            _ => {
                return Err(StateError::EtagMismatch(format!(
                    "key {}: two operations ask for different versions of it",
                    operation.key()
                )));
            }
        };
        writes.insert(operation.key(), LastWrite { operation, guard });
    }
    Ok(writes.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Value;

    fn put(key: &str, etag: &str) -> Operation {
        let mut set = SetRequest::new(key, Value::Binary("v".into()));
        set.etag = Some(etag.to_owned());
        Operation::Upsert(set)
    }

    fn create(key: &str) -> Operation {
        let mut set = SetRequest::new(key, Value::Binary("v".into()));
        set.options.concurrency = Concurrency::FirstWrite;
        Operation::Upsert(set)
    }

    fn of(operations: &[Operation]) -> Result<Vec<LastWrite<'_, Guard<'_>>>, StateError> {
        last_writes(operations, |operation| Ok(Guard::of(operation)))
    }

    #[test]
    fn each_key_is_written_once_under_the_guards_of_the_state_before() {
        let operations = [put("b", ""), put("a", "x"), put("b", "y"), put("a", "")];
        let writes = of(&operations).unwrap();
        assert_eq!(
            writes,
            [
                LastWrite {
                    operation: &operations[3],
                    guard: Guard::Etag("x")
                },
                LastWrite {
                    operation: &operations[2],
                    guard: Guard::Etag("y")
                },
            ]
        );
    }

    #[test]
    fn guards_that_exclude_each_other_are_refused() {
        for operations in [[put("a", "1"), put("a", "2")], [create("a"), put("a", "1")]] {
            let refused = of(&operations).unwrap_err();
            assert!(matches!(refused, StateError::EtagMismatch(_)), "{refused}");
        }
    }

    #[test]
    fn a_removal_takes_no_notice_of_first_write() {
        let mut delete = DeleteRequest::new("a");
        delete.options.concurrency = Concurrency::FirstWrite;
        assert_eq!(Guard::of(&Operation::Delete(delete)), Guard::None);
        assert_eq!(Guard::of(&create("a")), Guard::Absent);
    }
}
