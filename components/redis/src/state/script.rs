//! The script that applies writes, and its arguments and answer.

use std::sync::LazyLock;

use ::redis::{RedisResult, Script, aio::MultiplexedConnection};
use bytes::Bytes;
use trilby_components::state::{
    Concurrency, DeleteRequest, Operation, SetRequest, StateError, Ttl,
};

use crate::link::Repeat;

static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("apply.lua")));

/// What the script reads for "keep the expiry that is there".
const KEEP_EXPIRY: i64 = 0;
/// What the script reads for "no expiry".
const NO_EXPIRY: i64 = -1;

/// Operations in the script's terms.
pub(super) struct Writes<'a> {
    writes: Vec<Write<'a>>,
}

struct Write<'a> {
    key: &'a str,
    verb: &'static str,
    /// Empty for none.
    etag: String,
    /// `1` when the key must not exist unless an etag says otherwise, and is marked from then on.
    first_write: u8,
    /// Seconds, [`KEEP_EXPIRY`] or [`NO_EXPIRY`].
    expiry: i64,
    data: Bytes,
}

impl<'a> Writes<'a> {
    /// # Errors
    /// [`StateError::EtagInvalid`] when an etag is not a number.
    pub(super) fn new(
        operations: &'a [Operation],
        default_ttl: Option<Ttl>,
    ) -> Result<Self, StateError> {
        let writes = operations.iter().map(|operation| match operation {
            Operation::Upsert(request) => upsert(request, default_ttl),
            Operation::Delete(request) => delete(request),
        });
        Ok(Self {
            writes: writes.collect::<Result<_, _>>()?,
        })
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

    /// Runs the script; `None` when everything was applied.
    pub(super) async fn invoke(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Option<Refusal>> {
        let mut invocation = APPLY.prepare_invoke();
        for write in &self.writes {
            invocation
                .key(write.key)
                .arg(write.verb)
                .arg(&write.etag)
                .arg(write.first_write)
                .arg(write.expiry)
                .arg(&write.data[..]);
        }
        let refusal: Option<(usize, String)> = invocation.invoke_async(connection).await?;
        Ok(refusal.map(|(number, reason)| Refusal { number, reason }))
    }
}

fn upsert(request: &SetRequest, default_ttl: Option<Ttl>) -> Result<Write<'_>, StateError> {
    let expiry = match request.ttl.or(default_ttl) {
        None => KEEP_EXPIRY,
        Some(Ttl::Never) => NO_EXPIRY,
        Some(Ttl::After(life)) => i64::try_from(life.as_secs()).unwrap_or(NO_EXPIRY),
    };
    Ok(Write {
        key: &request.key,
        verb: "set",
        etag: etag(request.etag.as_deref(), request.options.concurrency)?,
        first_write: u8::from(request.options.concurrency == Concurrency::FirstWrite),
        expiry,
        data: request.value.bytes().clone(),
    })
}

fn delete(request: &DeleteRequest) -> Result<Write<'_>, StateError> {
    Ok(Write {
        key: &request.key,
        verb: "del",
        etag: etag(request.etag.as_deref(), request.options.concurrency)?,
        first_write: 0,
        expiry: KEEP_EXPIRY,
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

    use super::{Refusal, Writes, etag};
    use crate::link::Repeat;

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
            let writes = Writes::new(&operations, None).unwrap();
            assert_eq!(writes.repeat(), repeat, "{operations:?}");
        }
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
