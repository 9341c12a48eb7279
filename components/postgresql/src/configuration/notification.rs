//! What a notification says: the row that changed, as the `data` of a JSON object. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trilby_components::configuration::Item;

/// The key and the item of a payload.
///
/// # Errors
/// Why it is none. The payload is not repeated: it may be a secret.
pub(super) fn change(payload: &str) -> Result<(String, Item), String> {
    let payload: Value =
        serde_json::from_str(payload).map_err(|error| format!("it is no JSON: {error}"))?;
    let Some(data) = payload.get("data").and_then(Value::as_object) else {
        return Err("it has no data, which is the row that changed".to_owned());
    };
    let key = column(data, "key").map(text).transpose()?;
    let key = key.ok_or("its data has no key")?;
    let cell = |name| column(data, name).map(text).transpose();
    let metadata = column(data, "metadata").map(texts);
    let item = Item {
        value: cell("value")?.unwrap_or_default(),
        version: cell("version")?.unwrap_or_default(),
        metadata: metadata
            .unwrap_or_else(|| Some(BTreeMap::new()))
            .ok_or("its metadata is no object")?,
    };
    Ok((key, item))
}

/// Columns are named in any case.
fn column<'a>(data: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut columns = data.iter();
    let found = columns.find(|(column, _)| column.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// A cell: a text, or a number where the column is one.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => {
            Err("a column of its data is neither text nor number".to_owned())
        }
    }
}

/// The texts of an object; what is no text, is one in JSON. None where it is neither an object nor null.
pub(super) fn texts(value: &Value) -> Option<BTreeMap<String, String>> {
    match value {
        Value::Null => Some(BTreeMap::new()),
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| {
                let text = text(value).unwrap_or_else(|_| value.to_string());
                (name.clone(), text)
            };
            Some(entries.iter().map(entry).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn the_row_that_changed_is_the_item() {
        let payload = r#"{"table":"t","action":"UPDATE","data":{"KEY":"a","value":"x","Version":"2",
            "metadata":{"env":"live"}}}"#;
        let (key, item) = change(payload).unwrap();
        assert_eq!((key.as_str(), item.value.as_str()), ("a", "x"));
        assert_eq!(
            (item.version.as_str(), item.metadata["env"].as_str()),
            ("2", "live")
        );
    }

    /// Triggers that send rows as they are send numbers and nulls.
    #[test]
    fn numbers_and_nulls_are_texts() {
        let payload = r#"{"data":{"key":"a","value":1.5,"version":3,"metadata":null}}"#;
        let (_, item) = change(payload).unwrap();
        assert_eq!((item.value.as_str(), item.version.as_str()), ("1.5", "3"));
        let (_, item) = change(r#"{"data":{"key":"a","value":null}}"#).unwrap();
        assert_eq!((item.value.as_str(), item.version.as_str()), ("", ""));
    }

    #[test]
    fn what_makes_no_sense_is_told_without_its_content() {
        for (payload, why) in [
            ("s3cret", "it is no JSON"),
            (r#"{"data":"s3cret"}"#, "it has no data"),
            (r#"["s3cret"]"#, "it has no data"),
            (r#"{"data":{"value":"s3cret"}}"#, "its data has no key"),
            (r#"{"data":{"key":["s3cret"]}}"#, "a column of its data"),
            (
                r#"{"data":{"key":"a","value":{"s3cret":1}}}"#,
                "a column of its data",
            ),
            (
                r#"{"data":{"key":"a","metadata":"s3cret"}}"#,
                "its metadata is no object",
            ),
        ] {
            let refused = change(payload).unwrap_err();
            assert!(refused.starts_with(why), "{payload}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
