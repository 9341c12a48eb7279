//! A transaction as one of etcd's.
//!
//! etcd writes no key twice in a transaction, and judges all guards before it. So each key is one operation, the last
//! one on it, under what all operations on it ask of the state before.

use bytes::Bytes;
use trilby_components::state::{
    Concurrency, DeleteRequest, LastWrite, Operation, SetRequest, StateError, Ttl, WriteOptions,
    last_writes,
};

use crate::wire::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request, RequestOp, TxnRequest,
};

/// The revision of a key that is not there.
pub(super) const NO_REVISION: i64 = 0;

/// What a transaction does.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// In the order of their keys.
    steps: Vec<Step<'a>>,
}

/// What it does to one key. The guard is the revision that wrote it before, [`NO_REVISION`] if it must not be there; `None` if
/// that does not matter.
pub(super) type Step<'a> = LastWrite<'a, Option<i64>>;

impl<'a> Plan<'a> {
    /// # Errors
    /// An etag is none, or what is asked of a key can never be true.
    pub(super) fn new(operations: &'a [Operation]) -> Result<Self, StateError> {
        let steps = last_writes(operations, guard)?;
        Ok(Self { steps })
    }

    /// The values that are written.
    pub(super) fn puts(&self) -> impl Iterator<Item = &'a SetRequest> {
        self.steps.iter().filter_map(|step| match step.operation {
            Operation::Upsert(set) => Some(set),
            Operation::Delete(_) => None,
        })
    }

    /// The keys that are guarded, in the order in which a refused transaction says what it found.
    pub(super) fn guarded(&self) -> impl Iterator<Item = &Step<'a>> {
        self.steps.iter().filter(|step| step.guard.is_some())
    }

    /// The request: where `path` says that keys are, what `kept` makes of values, with the leases that `lease` knows.
    pub(super) fn request(
        &self,
        path: impl Fn(&str) -> Bytes,
        kept: impl Fn(&SetRequest) -> Bytes,
        lease: impl Fn(Option<Ttl>) -> i64,
    ) -> TxnRequest {
        let operation = |request| RequestOp {
            request: Some(request),
        };
        let success = self.steps.iter().map(|step| match step.operation {
            Operation::Upsert(set) => Request::Put(PutRequest {
                key: path(&set.key),
                value: kept(set),
                lease: lease(set.ttl),
            }),
            Operation::Delete(delete) => Request::DeleteRange(DeleteRangeRequest {
                key: path(&delete.key),
            }),
        });
        let failure = self.guarded().map(|step| {
            Request::Range(RangeRequest {
                key: path(step.operation.key()),
                keys_only: true,
                ..RangeRequest::default()
            })
        });
        let compare = self.steps.iter().filter_map(|step| {
            let revision = step.guard?;
            Some(Compare::to_revision(path(step.operation.key()), revision))
        });
        TxnRequest {
            compare: compare.collect(),
            success: success.map(operation).collect(),
            failure: failure.map(operation).collect(),
        }
    }
}

/// Why the guard does not hold, where the key's revision is `found`; `None` if it does. The words are upstream's.
pub(super) fn refusal(step: &Step<'_>, found: i64) -> Option<String> {
    let key = step.operation.key();
    match step.guard? {
        asked if asked == found => None,
        NO_REVISION => Some(format!(
            "item already exists and no etag was passed for key={key}"
        )),
        _ if found == NO_REVISION => Some(format!("state not exist or expired for key={key}")),
        asked => Some(format!(
            "state etag not match for key={key}: current={found}, expect={asked}"
        )),
    }
}

fn guard(operation: &Operation) -> Result<Option<i64>, StateError> {
    let (etag, WriteOptions { concurrency, .. }) = match operation {
        Operation::Upsert(SetRequest { etag, options, .. })
        | Operation::Delete(DeleteRequest { etag, options, .. }) => (etag, options),
    };
    match etag.as_deref() {
        Some(etag) if !etag.is_empty() => match etag.parse() {
            Ok(revision) if revision > NO_REVISION => Ok(Some(revision)),
            _ => Err(StateError::EtagInvalid(format!(
                "{etag:?} is not a revision of etcd"
            ))),
        },
        _ if *concurrency == Concurrency::FirstWrite => Ok(Some(NO_REVISION)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::state::Value;

    use super::*;

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

    /// Each operation as `put key`, after what is compared as `key=revision`.
    fn planned(operations: &[Operation]) -> Vec<String> {
        let plan = Plan::new(operations).unwrap();
        let request = plan.request(|key| key.to_owned().into(), |_| Bytes::new(), |_| 0);
        let text = |key: &Bytes| String::from_utf8(key.to_vec()).unwrap();
        let compare = request.compare.iter();
        let compare =
            compare.map(|one| format!("{}={}", text(&one.key), one.mod_revision.unwrap()));
        let success = request.success.iter().map(|one| match &one.request {
            Some(Request::Put(put)) => format!("put {}", text(&put.key)),
            Some(Request::DeleteRange(range)) => format!("remove {}", text(&range.key)),
            other => panic!("{other:?}"),
        });
        compare.chain(success).collect()
    }

    #[test]
    fn each_key_is_written_once() {
        let operations = [put("b", ""), put("a", ""), remove("b", ""), put("a", "")];
        assert_eq!(planned(&operations), ["put a", "remove b"]);
        assert!(planned(&[]).is_empty());
    }

    #[test]
    fn guards_are_those_of_the_state_before() {
        assert_eq!(planned(&[put("a", ""), put("a", "7")]), ["a=7", "put a"]);
        assert_eq!(
            planned(&[remove("a", "7"), put("a", "7")]),
            ["a=7", "put a"]
        );
        assert_eq!(
            planned(&[create("a"), remove("a", "")]),
            ["a=0", "remove a"]
        );
    }

    #[test]
    fn guards_that_exclude_each_other_are_refused() {
        for operations in [[put("a", "1"), put("a", "2")], [create("a"), put("a", "1")]] {
            let refused = Plan::new(&operations).unwrap_err();
            assert!(matches!(refused, StateError::EtagMismatch(_)), "{refused}");
        }
    }

    /// A revision of 0 would mean that the key is not there.
    #[test]
    fn an_etag_is_a_revision() {
        for etag in ["0", "-1", "x", "1 ", "9223372036854775808"] {
            let refused = Plan::new(&[put("a", etag)]).unwrap_err();
            assert!(matches!(refused, StateError::EtagInvalid(_)), "{refused}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_found() {
        let refusal = |operation: Operation, found| {
            let operations = [operation];
            let plan = Plan::new(&operations).unwrap();
            super::refusal(plan.guarded().next().unwrap(), found)
        };
        assert_eq!(refusal(put("a", "7"), 7), None);
        assert_eq!(
            refusal(put("a", "7"), 8).unwrap(),
            "state etag not match for key=a: current=8, expect=7"
        );
        assert_eq!(
            refusal(put("a", "7"), 0).unwrap(),
            "state not exist or expired for key=a"
        );
        assert!(refusal(create("a"), 3).unwrap().contains("already exists"));
    }
}
