//! A transaction as statements that carry their own guards: each key is one statement, in the order of the keys.

use std::collections::BTreeMap;

use trilby_components::state::{Operation, SetRequest, StateError, last_writes};

pub use trilby_components::state::Guard;

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
    let writes = last_writes(operations, |operation| {
        check(operation.key())?;
        Ok(Guard::of(operation))
    })?;
    let creations = operations.iter().filter_map(|operation| match operation {
        Operation::Upsert(set) if Guard::of(operation) == Guard::Absent => {
            Some((set.key.as_str(), set))
        }
        _ => None,
    });
    let creations: BTreeMap<&str, &SetRequest> = creations.collect();
    let mut steps = Vec::with_capacity(writes.len());
    for write in writes {
        let mut guard = write.guard;
        let action = match write.operation {
            Operation::Upsert(set) => Action::Put(set),
            Operation::Delete(delete) => {
                // Only a statement that creates can see to it that nobody else does.
                if let Some(creation) = creations.get(delete.key.as_str()) {
                    let action = Action::Put(creation);
                    steps.push(Step { action, guard });
                    guard = Guard::None;
                }
                Action::Remove(&delete.key)
            }
        };
        steps.push(Step { action, guard });
    }
    Ok(steps)
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
