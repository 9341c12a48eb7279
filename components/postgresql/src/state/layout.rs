//! The layouts of rows, and the statements over them.
//!
//! Statements take the key as `$1`, the value as `$2`, its life in seconds as `$3`, and then what their layout adds.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use trilby_components::state::{StateError, Value};
use uuid::Uuid;

use crate::failure::Failure;

/// How rows look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Of v1: documents, whose etag is the transaction that wrote the row.
    Documents,
    /// Of v1 in CockroachDB, which shows no transactions: documents, with a number that each write raises.
    Counted,
    /// Of v2: bytes.
    Bytes,
}

/// A value as a column has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    /// A JSON text, and whether it is a string of Base64.
    Document(Cow<'a, str>, bool),
    /// As it is.
    Bytes(&'a [u8]),
}

/// The statements over one table.
#[derive(Debug)]
pub(super) struct Statements {
    /// The rows of the keys `$1`: key, value, whether it is Base64, etag, when it expires in microseconds of Unix time.
    pub(super) find: String,
    /// As [`Statements::find`], of all keys; conditions are to follow.
    pub(super) all: String,
    /// Writes whatever is there.
    pub(super) put: String,
    /// Writes what is not there.
    pub(super) create: String,
    /// Writes what is there with the etag that comes last.
    pub(super) replace: String,
    /// Removes.
    pub(super) remove: String,
    /// Removes what is there with the etag `$2`.
    pub(super) remove_version: String,
    /// Keys like `$1` after row `$2`, `$3` at most, with the numbers of their rows.
    pub(super) keys: String,
    /// Removes what has expired.
    pub(super) clean: String,
}

/// The parts of statements that write a value.
struct Written {
    /// Of a new row.
    insert: String,
    /// Of a row that is there, by the new one.
    update: String,
    /// Of a row that is there.
    replace: String,
    /// The parameter that is the etag of a row that is replaced.
    etag_at: u8,
}

/// The number that a new row begins with. Upstream's sidecars begin with 1, so that whoever read a value that was removed
/// takes the next one for it.
const FIRST: &str = "floor(random() * 1000000000)::int + 1";

impl Layout {
    /// Whether values are documents.
    pub(super) fn has_documents(self) -> bool {
        match self {
            Self::Documents | Self::Counted => true,
            Self::Bytes => false,
        }
    }

    /// The statements over `table`.
    pub(super) fn statements(self, table: &str) -> Statements {
        let expiry = self.expiry();
        let live = format!("({expiry} IS NULL OR {expiry} >= now())");
        let gone = format!("t.{expiry} < now()");
        let (value, binary, etag) = self.read();
        let life = "now() + $3 * interval '1 second'";
        let Written {
            insert,
            update,
            replace,
            etag_at,
        } = self.written(life);
        let put =
            format!("INSERT INTO {table} AS t {insert} ON CONFLICT (key) DO UPDATE SET {update}");
        let all = format!(
            "SELECT key, {value}, {binary}, {etag}, (extract(epoch FROM {expiry}) * 1000000)::bigint
             FROM {table} WHERE {live}"
        );
        Statements {
            find: format!("{all} AND key = ANY($1)"),
            all,
            // Also the row of a value that has expired is in the way of an INSERT.
            create: format!("{put} WHERE {gone}"),
            put,
            replace: format!(
                "UPDATE {table} SET {replace} WHERE key = $1 AND {} AND {live}",
                self.has_etag(etag_at)
            ),
            remove: format!("DELETE FROM {table} WHERE key = $1"),
            remove_version: format!(
                "DELETE FROM {table} WHERE key = $1 AND {} AND {live}",
                self.has_etag(2)
            ),
            keys: format!(
                "SELECT key, row_id FROM {table} WHERE key LIKE $1 AND row_id > $2 AND {live}
                 ORDER BY row_id LIMIT $3"
            ),
            clean: format!("DELETE FROM {table} AS t WHERE {gone}"),
        }
    }

    /// A value, whether it is Base64, and its etag.
    fn read(self) -> (&'static str, &'static str, &'static str) {
        // A document as the column has it, or what its text stands for.
        let document = "CASE WHEN isbinary THEN value #>> '{}' ELSE value::text END";
        match self {
            Self::Documents => (document, "isbinary", "xmin::text"),
            Self::Counted => (document, "isbinary", "etag::text"),
            Self::Bytes => ("value", "false", "etag::text"),
        }
    }

    fn written(self, life: &str) -> Written {
        let document = "value = $2::text::jsonb, isbinary = $4, updatedate = now()";
        let excluded = "value = excluded.value, isbinary = excluded.isbinary, updatedate = now(), \
                        expiredate = excluded.expiredate";
        match self {
            Self::Documents => Written {
                insert: format!(
                    "(key, value, isbinary, expiredate) VALUES ($1, $2::text::jsonb, $4, {life})"
                ),
                update: excluded.to_owned(),
                replace: format!("{document}, expiredate = {life}"),
                etag_at: 5,
            },
            Self::Counted => Written {
                insert: format!(
                    "(key, value, isbinary, etag, expiredate)
                     VALUES ($1, $2::text::jsonb, $4, {FIRST}, {life})"
                ),
                update: format!("{excluded}, etag = coalesce(t.etag, 0) + 1"),
                replace: format!("{document}, expiredate = {life}, etag = etag + 1"),
                etag_at: 5,
            },
            Self::Bytes => Written {
                insert: format!(
                    "(key, value, etag, expires_at) VALUES ($1, $2, gen_random_uuid(), {life})"
                ),
                update: "value = excluded.value, etag = excluded.etag, updated_at = now(), \
                         expires_at = excluded.expires_at"
                    .to_owned(),
                replace: format!(
                    "value = $2, etag = gen_random_uuid(), updated_at = now(), expires_at = {life}"
                ),
                etag_at: 4,
            },
        }
    }

    /// That a row has the etag of this parameter.
    fn has_etag(self, parameter: u8) -> String {
        match self {
            Self::Documents => format!("xmin = ${parameter}::text::xid"),
            Self::Counted => format!("etag = ${parameter}::text::bigint"),
            Self::Bytes => format!("etag = ${parameter}::text::uuid"),
        }
    }

    /// The column that says when a row expires.
    fn expiry(self) -> &'static str {
        match self {
            Self::Documents | Self::Counted => "expiredate",
            Self::Bytes => "expires_at",
        }
    }

    /// The type of a value.
    pub(super) fn value_type(self) -> Type {
        match self {
            Self::Documents | Self::Counted => Type::TEXT,
            Self::Bytes => Type::BYTEA,
        }
    }

    /// The value as the column is to have it.
    pub(super) fn stored(self, value: &Value) -> Stored<'_> {
        match self {
            Self::Bytes => Stored::Bytes(value.bytes()),
            Self::Documents | Self::Counted => match document(value) {
                Some(text) => Stored::Document(Cow::Borrowed(text), false),
                None => {
                    let text = format!("\"{}\"", STANDARD.encode(value.bytes()));
                    Stored::Document(Cow::Owned(text), true)
                }
            },
        }
    }

    /// The value that a row of [`Statements::find`] has; the inner error if it is not as a sidecar writes it.
    pub(super) fn value(self, row: &Row) -> Result<Result<Bytes, String>, Failure> {
        if self == Self::Bytes {
            let bytes: &[u8] = row.try_get(1)?;
            return Ok(Ok(Bytes::copy_from_slice(bytes)));
        }
        let text: Option<&str> = row.try_get(1)?;
        let text = text.unwrap_or_default();
        Ok(match row.try_get(2)? {
            false => Ok(Bytes::copy_from_slice(text.as_bytes())),
            true => match STANDARD.decode(text) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(format!("it is no Base64: {error}")),
            },
        })
    }

    /// An etag in the only way that the server writes it.
    ///
    /// # Errors
    /// [`StateError::EtagInvalid`] when it can be none of this layout.
    pub(super) fn etag(self, etag: &str) -> Result<String, StateError> {
        let invalid = |what| StateError::EtagInvalid(format!("{etag:?} is no {what}"));
        match self {
            Self::Documents => match etag.parse::<u32>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => Err(invalid("number of a transaction")),
            },
            Self::Counted => match etag.parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => Err(invalid("number of writes")),
            },
            Self::Bytes => match Uuid::parse_str(etag) {
                Ok(id) => Ok(id.to_string()),
                Err(_) => Err(invalid("UUID")),
            },
        }
    }
}

/// JSON that `jsonb` can hold. The one character that it cannot hold makes it bytes: readers see no difference.
fn document(value: &Value) -> Option<&str> {
    match value {
        Value::Json(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            (!text.contains("\\u0000")).then_some(text)
        }
        Value::Binary(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::state::{StateError, Value};

    use super::{Layout, Stored};

    fn stored(value: &Value) -> (String, bool) {
        match Layout::Documents.stored(value) {
            Stored::Document(text, binary) => (text.into_owned(), binary),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn documents_are_json_and_all_else_base64() {
        let json = |text: &'static str| stored(&Value::Json(text.into()));
        assert_eq!(json(r#"{"a":1}"#), (r#"{"a":1}"#.to_owned(), false));
        assert_eq!(json(r#""\u0000""#), ("\"Ilx1MDAwMCI=\"".to_owned(), true));
        let bytes = Value::Binary("hi".into());
        assert_eq!(stored(&bytes), ("\"aGk=\"".to_owned(), true));
        assert_eq!(Layout::Bytes.stored(&bytes), Stored::Bytes(b"hi"));
    }

    /// CockroachDB knows no `xmin`. Its rows have a number instead, which every write has to raise.
    #[test]
    fn numbers_are_raised_by_every_write() {
        let statements = Layout::Counted.statements("state");
        for write in [&statements.put, &statements.create, &statements.replace] {
            assert!(write.contains(", etag = "), "{write}");
            assert!(
                write.contains(") + 1") || write.contains("etag + 1"),
                "{write}"
            );
            assert!(!write.contains("xmin"), "{write}");
        }
        assert!(
            statements.find.contains("etag::text"),
            "{}",
            statements.find
        );
        let guarded = [&statements.replace, &statements.remove_version];
        for (statement, parameter) in guarded.into_iter().zip(["$5", "$2"]) {
            let guard = format!("etag = {parameter}::text::bigint");
            assert!(statement.contains(&guard), "{statement}");
        }
    }

    /// Upstream's v2 takes what is no etag for one that does not match.
    #[test]
    fn etags_are_of_their_layout() {
        assert_eq!(Layout::Documents.etag("007").unwrap(), "7");
        assert_eq!(Layout::Counted.etag("4294967296").unwrap(), "4294967296");
        let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        assert_eq!(Layout::Bytes.etag(id).unwrap(), id.to_lowercase());
        for (layout, wrong) in [
            (Layout::Documents, "-1"),
            (Layout::Documents, "4294967296"),
            (Layout::Documents, id),
            (Layout::Counted, "1.5"),
            (Layout::Counted, "9223372036854775808"),
            (Layout::Bytes, "1"),
        ] {
            let refused = layout.etag(wrong).unwrap_err();
            assert!(matches!(refused, StateError::EtagInvalid(_)), "{refused}");
        }
    }
}
