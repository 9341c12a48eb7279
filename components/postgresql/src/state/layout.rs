//! The two layouts of rows, and the statements over them.
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
    /// Of v1: documents.
    Documents,
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

impl Layout {
    /// The statements over `table`.
    pub(super) fn statements(self, table: &str) -> Statements {
        let expiry = self.expiry();
        let live = format!("({expiry} IS NULL OR {expiry} >= now())");
        let gone = format!("t.{expiry} < now()");
        let (value, binary, etag) = match self {
            Self::Documents => (
                "CASE WHEN isbinary THEN value #>> '{}' ELSE value::text END",
                "isbinary",
                "xmin::text",
            ),
            Self::Bytes => ("value", "false", "etag::text"),
        };
        let life = "now() + $3 * interval '1 second'";
        let (insert, update, replace, etag_at) = match self {
            Self::Documents => (
                format!(
                    "(key, value, isbinary, expiredate) VALUES ($1, $2::text::jsonb, $4, {life})"
                ),
                "value = excluded.value, isbinary = excluded.isbinary, updatedate = now(), expiredate = excluded.expiredate",
                format!(
                    "value = $2::text::jsonb, isbinary = $4, updatedate = now(), expiredate = {life}"
                ),
                5,
            ),
            Self::Bytes => (
                format!(
                    "(key, value, etag, expires_at) VALUES ($1, $2, gen_random_uuid(), {life})"
                ),
                "value = excluded.value, etag = excluded.etag, updated_at = now(), expires_at = excluded.expires_at",
                format!(
                    "value = $2, etag = gen_random_uuid(), updated_at = now(), expires_at = {life}"
                ),
                4,
            ),
        };
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

    /// That a row has the etag of this parameter.
    fn has_etag(self, parameter: u8) -> String {
        match self {
            Self::Documents => format!("xmin = ${parameter}::text::xid"),
            Self::Bytes => format!("etag = ${parameter}::text::uuid"),
        }
    }

    /// The column that says when a row expires.
    fn expiry(self) -> &'static str {
        match self {
            Self::Documents => "expiredate",
            Self::Bytes => "expires_at",
        }
    }

    /// The type of a value.
    pub(super) fn value_type(self) -> Type {
        match self {
            Self::Documents => Type::TEXT,
            Self::Bytes => Type::BYTEA,
        }
    }

    /// The value as the column is to have it.
    pub(super) fn stored(self, value: &Value) -> Stored<'_> {
        match self {
            Self::Bytes => Stored::Bytes(value.bytes()),
            Self::Documents => match document(value) {
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

    /// Upstream's v2 takes what is no etag for one that does not match.
    #[test]
    fn etags_are_of_their_layout() {
        assert_eq!(Layout::Documents.etag("007").unwrap(), "7");
        let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        assert_eq!(Layout::Bytes.etag(id).unwrap(), id.to_lowercase());
        for (layout, wrong) in [
            (Layout::Documents, "-1"),
            (Layout::Documents, "4294967296"),
            (Layout::Documents, id),
            (Layout::Bytes, "1"),
        ] {
            let refused = layout.etag(wrong).unwrap_err();
            assert!(matches!(refused, StateError::EtagInvalid(_)), "{refused}");
        }
    }
}
