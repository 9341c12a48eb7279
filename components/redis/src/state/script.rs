//! The script that applies writes, and its arguments and answer.

use std::sync::LazyLock;

use ::redis::{RedisResult, Script, cluster_routing::Slot};
use bytes::Bytes;
use serde::de::IgnoredAny;
use trilby_components::state::{
    Concurrency, DeleteRequest, Operation, SetRequest, StateError, Ttl,
};

use super::layout::{Documents, Layout};
use crate::{
    connection::{Connection, Place},
    link::Repeat,
};

static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("apply.lua")));

/// What the script reads for "keep the expiry that is there".
const KEEP_EXPIRY: i64 = 0;
/// What the script reads for "no expiry".
const NO_EXPIRY: i64 = -1;

/// Operations in the script's terms.
pub(super) struct Writes<'a> {
    writes: Vec<Write<'a>>,
}

/// What to do with writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Say whether they may happen.
    Judge,
    /// Let them happen if all may.
    Apply,
}

struct Write<'a> {
    /// Of the operation, from 1.
    number: usize,
    key: &'a str,
    verb: &'static str,
    /// Empty for none.
    etag: String,
    /// `1` when the key must not exist unless an etag says otherwise, and is marked from then on.
    first_write: u8,
    /// Seconds, [`KEEP_EXPIRY`] or [`NO_EXPIRY`].
    expiry: i64,
    layout: Layout,
    data: Bytes,
}

/// What operations do not say themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// For writes that bring none.
    pub(super) default_ttl: Option<Ttl>,
    pub(super) documents: Documents,
}

impl<'a> Writes<'a> {
    /// # Errors
    /// [`StateError::EtagInvalid`] when an etag is not a number, [`StateError::InvalidRequest`] when a value that is to
    /// be a document is no JSON.
    pub(super) fn new(operations: &'a [Operation], terms: Terms) -> Result<Self, StateError> {
        let writes = operations
            .iter()
            .zip(1..)
            .map(|(operation, number)| match operation {
                Operation::Upsert(request) => upsert(number, request, terms),
                Operation::Delete(request) => delete(number, request),
            });
        Ok(Self {
            writes: writes.collect::<Result<_, _>>()?,
        })
    }

    /// Those of each slot of a cluster, in their order: one script is of one slot.
    pub(super) fn by_slot(self) -> Vec<Self> {
        let mut slots: Vec<(Slot, Self)> = Vec::new();
        for write in self.writes {
            let slot = Slot::for_key(write.key);
            match slots.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, those)) => those.writes.push(write),
                None => slots.push((
                    slot,
                    Self {
                        writes: vec![write],
                    },
                )),
            }
        }
        slots.into_iter().map(|(_, writes)| writes).collect()
    }

    /// The keys, for messages.
    pub(super) fn keys(&self) -> String {
        let keys: Vec<&str> = self.writes.iter().map(|write| write.key).collect();
        keys.join(", ")
    }

    /// The server that keeps the keys; all are on the same.
    pub(super) fn place(&self, connection: &Connection) -> Place {
        self.writes
            .first()
            .map_or(Place::Only, |write| connection.place(write.key))
    }

    /// A write that compares cannot be told from its own repetition.
    pub(super) fn repeat(&self) -> Repeat {
        let compares = |write: &Write<'_>| !write.etag.is_empty() || write.first_write == 1;
        if self.writes.iter().any(compares) {
            Repeat::Unsafe
        } else {
            Repeat::Safe
        }
    }

    /// Runs the script; `None` when nothing is refused.
    pub(super) async fn invoke(
        &self,
        mode: Mode,
        connection: &mut Connection,
    ) -> RedisResult<Option<Refusal>> {
        let mut invocation = APPLY.prepare_invoke();
        for write in &self.writes {
            invocation
                .key(write.key)
                .arg(write.verb)
                .arg(&write.etag)
                .arg(write.first_write)
                .arg(write.expiry)
                .arg(write.layout.name())
                .arg(&write.data[..]);
        }
        invocation.arg(match mode {
            Mode::Judge => "judge",
            Mode::Apply => "apply",
        });
        let refusal: Option<(usize, String)> = invocation.invoke_async(connection).await?;
        Ok(refusal.map(|(position, reason)| {
            let write = self.writes.get(position.wrapping_sub(1));
            let number = write.map_or(0, |write| write.number);
            Refusal { number, reason }
        }))
    }
}

fn upsert(number: usize, request: &SetRequest, terms: Terms) -> Result<Write<'_>, StateError> {
    let layout = terms.documents.layout(&request.metadata);
    if layout == Layout::Document {
        check_json(request)?;
    }
    let expiry = match request.ttl.or(terms.default_ttl) {
        None => KEEP_EXPIRY,
        Some(Ttl::Never) => NO_EXPIRY,
        Some(Ttl::After(life)) => i64::try_from(life.as_secs()).unwrap_or(NO_EXPIRY),
    };
    Ok(Write {
        number,
        key: &request.key,
        verb: "set",
        etag: etag(request.etag.as_deref(), request.options.concurrency)?,
        first_write: u8::from(request.options.concurrency == Concurrency::FirstWrite),
        expiry,
        layout,
        data: request.value.bytes().clone(),
    })
}

/// It becomes part of a document, whose end it must not be.
fn check_json(request: &SetRequest) -> Result<(), StateError> {
    let refused = |reason: String| {
        let key = &request.key;
        let reason = format!("redis store: key {key}: the value is no JSON: {reason}");
        StateError::InvalidRequest(reason)
    };
    let text = std::str::from_utf8(request.value.bytes());
    let text = text.map_err(|error| refused(error.to_string()))?;
    let json: Result<IgnoredAny, _> = serde_json::from_str(text);
    json.map(drop).map_err(|error| refused(error.to_string()))
}

fn delete(number: usize, request: &DeleteRequest) -> Result<Write<'_>, StateError> {
    Ok(Write {
        number,
        key: &request.key,
        verb: "del",
        etag: etag(request.etag.as_deref(), request.options.concurrency)?,
        first_write: 0,
        expiry: KEEP_EXPIRY,
        layout: Layout::Hash,
        data: Bytes::new(),
    })
}

/// The version to compare with; empty for none, which is what "last write" and upstream's 0 mean.
fn etag(etag: Option<&str>, concurrency: Concurrency) -> Result<String, StateError> {
    match etag {
        None | Some("" | "0") => Ok(String::new()),
        Some(_) if concurrency == Concurrency::LastWrite => Ok(String::new()),
        Some(text) => match text.parse::<i64>() {
            Ok(version) => Ok(version.to_string()),
            Err(_) => Err(StateError::EtagInvalid(format!(
                "{text:?} is not a version number"
            ))),
        },
    }
}

/// Why the script applied nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which operation, from 1.
    number: usize,
    reason: String,
}

impl Refusal {
    /// In words, in upstream's where it has them.
    pub(super) fn explain(&self, operations: &[Operation]) -> String {
        let operation = self
            .number
            .checked_sub(1)
            .and_then(|index| operations.get(index));
        let verb = match operation {
            Some(Operation::Delete(_)) => "delete",
            _ => "set key",
        };
        let key = operation.map_or("", Operation::key);
        format!("failed to {verb} {key}: {}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::state::{
        Concurrency, DeleteRequest, Operation, SetRequest, StateError, Value,
    };

    use super::{Documents, Refusal, Terms, Writes, etag};
    use crate::link::Repeat;

    const PLAIN: Terms = Terms {
        default_ttl: None,
        documents: Documents::Never,
    };

    fn set(etag: Option<&str>, concurrency: Concurrency) -> Operation {
        let mut request = SetRequest::new("key", Value::Binary("x".into()));
        request.etag = etag.map(Into::into);
        request.options.concurrency = concurrency;
        Operation::Upsert(request)
    }

    #[test]
    fn an_etag_is_a_version_number_or_nothing() {
        let plain = Concurrency::Unspecified;
        for nothing in [None, Some(""), Some("0")] {
            assert_eq!(etag(nothing, plain), Ok(String::new()));
        }
        assert_eq!(etag(Some("07"), plain), Ok("7".into()));
        assert_eq!(etag(Some("7"), Concurrency::LastWrite), Ok(String::new()));
        assert_eq!(
            etag(Some("abc"), plain),
            Err(StateError::EtagInvalid(
                "\"abc\" is not a version number".into()
            ))
        );
    }

    #[test]
    fn only_writes_that_do_not_compare_may_be_repeated() {
        for (operation, repeat) in [
            (set(None, Concurrency::Unspecified), Repeat::Safe),
            (set(Some("1"), Concurrency::LastWrite), Repeat::Safe),
            (set(Some("1"), Concurrency::Unspecified), Repeat::Unsafe),
            (set(None, Concurrency::FirstWrite), Repeat::Unsafe),
        ] {
            let operations = [operation];
            let writes = Writes::new(&operations, PLAIN).unwrap();
            assert_eq!(writes.repeat(), repeat, "{operations:?}");
        }
    }

    #[test]
    fn what_is_to_be_a_document_is_one_json_value() {
        let terms = Terms {
            documents: Documents::Always,
            ..PLAIN
        };
        let refused = |value: &'static [u8]| {
            let set = SetRequest::new("key", Value::Binary(value.into()));
            Writes::new(&[Operation::Upsert(set)], terms).err()
        };
        assert_eq!(refused(br#" {"a":[1,"x"]} "#), None);
        for value in [&b"1,\"version\":7,\"x\":2"[..], b"", b"{", b"\"\xff\""] {
            let error = refused(value).unwrap();
            assert!(
                matches!(&error, StateError::InvalidRequest(text) if text.contains("key key")),
                "{error}"
            );
        }
    }

    #[test]
    fn writes_of_one_slot_stay_together() {
        let named = |key: &str| Operation::Upsert(SetRequest::new(key, Value::Binary("x".into())));
        let operations = ["a{one}", "b{two}", "c{one}"].map(named);
        let groups = Writes::new(&operations, PLAIN).unwrap().by_slot();
        let keys: Vec<String> = groups.iter().map(Writes::keys).collect();
        assert_eq!(keys, ["a{one}, c{one}", "b{two}"]);
    }

    #[test]
    fn a_refusal_names_the_operation() {
        let operations = [
            set(None, Concurrency::Unspecified),
            Operation::Delete(DeleteRequest::new("other")),
        ];
        let refusal = |number| Refusal {
            number,
            reason: "its version is 2".into(),
        };
        assert_eq!(
            refusal(1).explain(&operations),
            "failed to set key key: its version is 2"
        );
        assert_eq!(
            refusal(2).explain(&operations),
            "failed to delete other: its version is 2"
        );
    }
}
