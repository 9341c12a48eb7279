//! A transaction as statements that carry their own guards.
//!
//! Etags and first-write are judged against the state before the transaction, and of several writes to one key only the
//! last one stays. So each key is one statement: its last operation, under what all operations on it ask of the state
//! before. They come in the order of the keys.

use std::collections::BTreeMap;

use trilby_components::state::{Concurrency, Operation, SetRequest, StateError};

/// What has to be true of a key before its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard<'a> {
    /// Nothing.
    None,
    /// It is there, with this etag.
    Etag(&'a str),
    /// It is not there.
    Absent,
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// It is written.
    Put(&'a SetRequest),
    /// It is removed.
    Remove(&'a str),
}

/// One statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// What becomes of its key.
    pub action: Action<'a>,
    /// What has to be true of its key before.
    pub guard: Guard<'a>,
}

impl<'a> Step<'a> {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &'a str {
        match self.action {
            Action::Put(set) => &set.key,
            Action::Remove(key) => key,
        }
    }
}

/// The statements of a transaction over keys that pass `check`.
///
/// # Errors
/// A key does not, or what is asked of it can never be true.
pub fn plan(
    operations: &[Operation],
    check: impl Fn(&str) -> Result<(), StateError>,
) -> Result<Vec<Step<'_>>, StateError> {
    let mut keys: BTreeMap<&str, Key<'_>> = BTreeMap::new();
    for operation in operations {
        check(operation.key())?;
        let key = keys.entry(operation.key()).or_insert(Key {
            last: operation,
            guard: Guard::None,
            creation: None,
        });
        key.add(operation)?;
    }
    Ok(keys.values().flat_map(Key::steps).collect())
}

/// The operations on one key.
struct Key<'a> {
    last: &'a Operation,
    guard: Guard<'a>,
    /// One that wants the key to be absent.
    creation: Option<&'a SetRequest>,
}

impl<'a> Key<'a> {
    fn add(&mut self, operation: &'a Operation) -> Result<(), StateError> {
        self.last = operation;
        let asked = guard(operation);
        self.guard = match (self.guard, asked) {
            (Guard::None, asked) => asked,
            (known, Guard::None) => known,
            (known, asked) if known == asked => known,
            _ => {
                return Err(StateError::EtagMismatch(format!(
                    "key {}: two operations ask for different versions of it",
                    operation.key()
                )));
            }
        };
        if let (Guard::Absent, Operation::Upsert(set)) = (asked, operation) {
            self.creation = Some(set);
        }
        Ok(())
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let (guard, key) = (self.guard, self.last.key());
        match (self.last, self.creation) {
            (Operation::Upsert(set), _) => vec![Step {
                action: Action::Put(set),
                guard,
            }],
            // Only a statement that creates can see to it that nobody else does.
            (Operation::Delete(_), Some(creation)) => vec![
                Step {
                    action: Action::Put(creation),
                    guard,
                },
                Step {
                    action: Action::Remove(key),
                    guard: Guard::None,
                },
            ],
            (Operation::Delete(_), None) => vec![Step {
                action: Action::Remove(key),
                guard,
            }],
        }
    }
}

fn guard(operation: &Operation) -> Guard<'_> {
    let (etag, creates) = match operation {
        Operation::Upsert(set) => (
            &set.etag,
            set.options.concurrency == Concurrency::FirstWrite,
        ),
        Operation::Delete(delete) => (&delete.etag, false),
    };
    match etag.as_deref() {
        Some(etag) if !etag.is_empty() => Guard::Etag(etag),
        _ if creates => Guard::Absent,
        _ => Guard::None,
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::state::{
        Concurrency, DeleteRequest, Operation, SetRequest, StateError, Value,
    };

    use super::Step;

    fn plan(operations: &[Operation]) -> Result<Vec<Step<'_>>, StateError> {
        super::plan(operations, |key| match key.contains('\0') {
            true => Err(StateError::InvalidRequest(format!("{key:?}"))),
            false => Ok(()),
        })
    }

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

    fn remove(key: &str, etag: &str) -> Operation {
        let mut delete = DeleteRequest::new(key);
        delete.etag = Some(etag.to_owned());
        Operation::Delete(delete)
    }

    /// Each statement as `put key guard`.
    fn planned(operations: &[Operation]) -> Vec<String> {
        let steps = plan(operations).unwrap();
        let told = steps.iter().map(|step| {
            let action = match step.action {
                super::Action::Put(_) => "put",
                super::Action::Remove(_) => "remove",
            };
            let guard = match step.guard {
                super::Guard::None => "",
                super::Guard::Etag(etag) => etag,
                super::Guard::Absent => "absent",
            };
            format!("{action} {} {guard}", step.key())
        });
        told.collect()
    }

    #[test]
    fn keys_are_visited_once_and_in_order() {
        let operations = [
            put("b", ""),
            put("a", ""),
            remove("b", ""),
            remove("a", ""),
            put("a", ""),
        ];
        assert_eq!(planned(&operations), ["put a ", "remove b "]);
        assert!(planned(&[]).is_empty());
    }

    #[test]
    fn guards_are_those_of_the_state_before() {
        assert_eq!(planned(&[put("a", ""), put("a", "1")]), ["put a 1"]);
        assert_eq!(planned(&[remove("a", "1"), put("a", "1")]), ["put a 1"]);
        assert_eq!(planned(&[put("a", "1"), remove("a", "")]), ["remove a 1"]);
        assert_eq!(planned(&[remove("a", ""), create("a")]), ["put a absent"]);
        assert_eq!(
            planned(&[create("a"), remove("a", "")]),
            ["put a absent", "remove a "]
        );
    }

    #[test]
    fn guards_that_exclude_each_other_are_refused() {
        for operations in [[put("a", "1"), put("a", "2")], [create("a"), put("a", "1")]] {
            let refused = plan(&operations).unwrap_err();
            assert!(matches!(refused, StateError::EtagMismatch(_)), "{refused}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_is_refused() {
        let refused = plan(&[put("a\0b", "")]).unwrap_err();
        assert!(
            matches!(refused, StateError::InvalidRequest(_)),
            "{refused}"
        );
        assert!(refused.to_string().contains(r"a\0b"), "{refused}");
    }
}
