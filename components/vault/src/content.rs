//! From what Vault answers to a secret. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use trilby_components::secret::Secret;

/// What one of Vault's secrets is to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueType {
    /// One secret of several values.
    #[default]
    Map,
    /// One value: the JSON of all of them.
    Text,
}

/// What every answer is wrapped in, and each secret of version 2 once more.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The names that a folder holds.
#[derive(Deserialize)]
struct Listed {
    keys: Vec<String>,
}

/// The `data` of an answer; `None` where it has none.
pub(crate) fn data(body: &[u8]) -> Result<Option<&RawValue>, serde_json::Error> {
    let wrapped: Wrapped<'_> = serde_json::from_slice(body)?;
    Ok(wrapped.data)
}

/// The `data` inside of it, which is what version 2 keeps values in.
pub(crate) fn versioned(data: &RawValue) -> Result<Option<&RawValue>, serde_json::Error> {
    let wrapped: Wrapped<'_> = serde_json::from_str(data.get())?;
    Ok(wrapped.data)
}

/// The names of a list.
pub(crate) fn names(data: &RawValue) -> Result<Vec<String>, serde_json::Error> {
    let listed: Listed = serde_json::from_str(data.get())?;
    Ok(listed.keys)
}

/// The secret called `name` from its values. A value that is no text is its JSON, digit by digit; null is empty.
pub(crate) fn secret(
    values: &RawValue,
    name: &str,
    value_type: ValueType,
) -> Result<Secret, serde_json::Error> {
    if value_type == ValueType::Text {
        return Ok(Secret::from([(name.to_owned(), values.get().to_owned())]));
    }
    let values: BTreeMap<String, Option<&RawValue>> = serde_json::from_str(values.get())?;
    let values = values.into_iter();
    values
        .map(|(key, value)| Ok((key, text(value)?)))
        .collect::<Result<Secret, _>>()
}

fn text(value: Option<&RawValue>) -> Result<String, serde_json::Error> {
    match value.map(RawValue::get) {
        None => Ok(String::new()),
        Some(json) if json.starts_with('"') => serde_json::from_str(json),
        Some(json) => Ok(json.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        br#"{"data": {"data": {"user": "u\n", "port": 12345678901234567890.10, "on": true,
        "none": null, "list": [1, "a"]}, "metadata": {"version": 3}}}"#;

    fn read(value_type: ValueType) -> Secret {
        let inner = versioned(data(ANSWER).unwrap().unwrap()).unwrap().unwrap();
        secret(inner, "db", value_type).unwrap()
    }

    /// With upstream's, one of them fails the whole secret.
    #[test]
    fn values_that_are_no_text_are_their_json() {
        let expected = [
            ("user", "u\n"),
            ("port", "12345678901234567890.10"),
            ("on", "true"),
            ("none", ""),
            ("list", r#"[1, "a"]"#),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read(ValueType::Map), Secret::from(expected));
    }

    #[test]
    fn as_a_text_a_secret_is_all_its_values_as_written() {
        let read = read(ValueType::Text);
        let (name, text) = read.first_key_value().unwrap();
        assert_eq!((read.len(), name.as_str()), (1, "db"));
        assert!(text.starts_with(r#"{"user": "u\n", "port": 12345678901234567890.10"#));
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_no_json() {
        assert!(data(br#"{"data": null}"#).unwrap().is_none());
        assert!(data(b"{}").unwrap().is_none());
        assert!(data(b"<html>").is_err());
        let list = data(br#"{"data": {"keys": ["a", "b/"]}}"#)
            .unwrap()
            .unwrap();
        assert_eq!(names(list).unwrap(), ["a", "b/"]);
        assert!(secret(list, "s", ValueType::Map).is_ok());
        let text = data(br#"{"data": "text"}"#).unwrap().unwrap();
        assert!(secret(text, "s", ValueType::Map).is_err());
    }
}
