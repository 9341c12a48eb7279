//! Bodies that are messages of the gRPC API in protobuf's JSON form.
//!
//! An empty body is an empty message, unknown fields are left alone, `null` is as if the field were not there, and a whole
//! number may be written as one, as a fraction without any, or in quotes.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Reads a message.
///
/// # Errors
/// The body is no JSON object, or a field has a value that it cannot have.
pub(super) fn decode<T: DeserializeOwned + Default>(body: &[u8]) -> serde_json::Result<T> {
    if body.is_empty() {
        return Ok(T::default());
    }
    // Serde would take an array for a message, too.
    match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body),
        _ => Err(serde_json::Error::custom("expected a JSON object")),
    }
}

/// A field that is text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A field that is an `int32`.
pub(super) fn int32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Whole(i64),
        Fraction(f64),
        Quoted(String),
    }
    let number = match Option::deserialize(deserializer)? {
        None => Some(0),
        Some(Written::Whole(number)) => i32::try_from(number).ok(),
        Some(Written::Fraction(number)) => whole(number),
        Some(Written::Quoted(text)) => match text.parse() {
            Ok(number) => Some(number),
            Err(_) => text.parse().ok().and_then(whole),
        },
    };
    number.ok_or_else(|| D::Error::custom("expected a whole number of 32 bits"))
}

fn whole(number: f64) -> Option<i32> {
    let fits = number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it has no fraction, and fits"
    )]
    fits.then_some(number as i32)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{decode, int32, text};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Message {
        #[serde(alias = "some_text", deserialize_with = "text")]
        some_text: String,
        #[serde(deserialize_with = "int32")]
        number: i32,
    }

    fn message(some_text: &str, number: i32) -> Message {
        let some_text = some_text.to_owned();
        Message { some_text, number }
    }

    #[test]
    fn messages_may_be_written_in_all_their_ways() {
        for (body, expected) in [
            ("", message("", 0)),
            ("{}", message("", 0)),
            (r#" {"someText":"a","number":7} "#, message("a", 7)),
            (r#"{"some_text":"a","number":"-7"}"#, message("a", -7)),
            (r#"{"someText":null,"number":null}"#, message("", 0)),
            (r#"{"number":7.0,"other":[{}]}"#, message("", 7)),
            (r#"{"number":7e1}"#, message("", 70)),
            (r#"{"number":"7e1"}"#, message("", 70)),
            (r#"{"number":-2147483648}"#, message("", i32::MIN)),
        ] {
            assert_eq!(
                decode::<Message>(body.as_bytes()).unwrap(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        for body in [
            " ",
            "null",
            "[]",
            r#"["a",7]"#,
            "{",
            "{} {}",
            r#"{"someText":7}"#,
            r#"{"someText":"a","some_text":"a"}"#,
            r#"{"number":7.5}"#,
            r#"{"number":true}"#,
            r#"{"number":"seven"}"#,
            r#"{"number":"nan"}"#,
            r#"{"number":2147483648}"#,
            r#"{"number":9223372036854775808}"#,
        ] {
            let refused = decode::<Message>(body.as_bytes());
            assert!(refused.is_err(), "{body}: {refused:?}");
        }
    }
}
