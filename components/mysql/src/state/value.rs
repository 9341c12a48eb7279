//! Values as the columns have them.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use trilby_components::state::Value;

/// A JSON text, and whether it is a string of Base64.
pub(super) fn stored(value: &Value) -> (Cow<'_, [u8]>, bool) {
    match value {
        Value::Json(text) if std::str::from_utf8(text).is_ok() => (Cow::Borrowed(text), false),
        Value::Json(bytes) | Value::Binary(bytes) => {
            let text = format!("\"{}\"", STANDARD.encode(bytes));
            (Cow::Owned(text.into_bytes()), true)
        }
    }
}

/// The value of a row.
///
/// # Errors
/// It is not as a sidecar writes it.
pub(super) fn read(stored: Vec<u8>, is_binary: bool) -> Result<Bytes, String> {
    if !is_binary {
        return Ok(stored.into());
    }
    let text = stored
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    let text = text.ok_or("it is no string of JSON")?;
    let bytes = STANDARD.decode(text);
    bytes
        .map(Into::into)
        .map_err(|error| format!("it is no Base64: {error}"))
}

#[cfg(test)]
mod tests {
    use trilby_components::state::Value;

    use super::{read, stored};

    #[test]
    fn what_is_stored_is_read() {
        for (value, text, binary) in [
            (
                Value::Json(r#"{"a":9007199254740993}"#.into()),
                r#"{"a":9007199254740993}"#,
                false,
            ),
            (Value::Binary("hi".into()), r#""aGk=""#, true),
            (Value::Binary("".into()), r#""""#, true),
        ] {
            let (found, is_binary) = stored(&value);
            assert_eq!((&*found, is_binary), (text.as_bytes(), binary));
            assert_eq!(read(found.into_owned(), binary).as_ref(), Ok(value.bytes()));
        }
        for broken in ["", "\"", "aGk=", r#""***""#] {
            assert!(read(broken.into(), true).is_err(), "{broken}");
        }
    }
}
