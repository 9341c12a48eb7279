//! From a JSON object to secrets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tracing::warn;
use trilby_components::secret::Secret;

/// How the file's object becomes secrets; each with the text that joins nested names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// Every value at any depth is a secret of one value, named by its path: `a:b`, `list:0`.
    Flat(String),
    /// Every object at the top is one secret, its values named by their paths.
    Nested(String),
}

/// Two values end up under one name.
#[derive(Debug, thiserror::Error)]
#[error("two values have the name {0:?} (see nestedSeparator)")]
pub(super) struct Duplicate(String);

impl Layout {
    pub(super) fn secrets(
        &self,
        object: Map<String, Value>,
    ) -> Result<BTreeMap<String, Secret>, Duplicate> {
        match self {
            Self::Flat(separator) => {
                let values = values(object, separator)?.into_iter();
                Ok(values.map(|(name, value)| single(name, value)).collect())
            }
            Self::Nested(separator) => object
                .into_iter()
                .filter_map(|(name, value)| match value {
                    Value::String(text) => Some(Ok(single(name, text))),
                    Value::Object(object) => {
                        Some(values(object, separator).map(|values| (name, values)))
                    }
                    _ => {
                        warn!(name, "neither a text nor an object: not a secret");
                        None
                    }
                })
                .collect(),
        }
    }
}

/// A secret of one value: its key is its name.
fn single(name: String, value: String) -> (String, Secret) {
    let secret = Secret::from([(name.clone(), value)]);
    (name, secret)
}

/// Every value of `object` at any depth, by its path.
fn values(object: Map<String, Value>, separator: &str) -> Result<Secret, Duplicate> {
    let mut found = Secret::new();
    let mut open: Vec<(String, Value)> = object.into_iter().collect();
    while let Some((path, value)) = open.pop() {
        let nested = |name: String| format!("{path}{separator}{name}");
        let text = match value {
            Value::Object(object) => {
                open.extend(
                    object
                        .into_iter()
                        .map(|(name, value)| (nested(name), value)),
                );
                continue;
            }
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                open.extend(items.map(|(index, value)| (nested(index.to_string()), value)));
                continue;
            }
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if found.insert(path.clone(), text).is_some() {
            return Err(Duplicate(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(layout: &Layout, file: Value) -> Result<Value, String> {
        let Value::Object(object) = file else {
            panic!("files hold objects")
        };
        let secrets = layout.secrets(object).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(secrets).expect("texts are JSON"))
    }

    fn flat() -> Layout {
        Layout::Flat(":".into())
    }

    #[test]
    fn nested_values_are_named_by_their_path() {
        let file = json!({"a": {"b": "1", "c": {"d": "2"}}, "list": ["x", {"y": "z"}], "top": "t"});
        let expected = json!({
            "a:b": {"a:b": "1"}, "a:c:d": {"a:c:d": "2"}, "list:0": {"list:0": "x"},
            "list:1:y": {"list:1:y": "z"}, "top": {"top": "t"},
        });
        assert_eq!(secrets(&flat(), file), Ok(expected));
        let dots = secrets(&Layout::Flat(".".into()), json!({"a": {"b": "1"}}));
        assert_eq!(dots, Ok(json!({"a.b": {"a.b": "1"}})));
    }

    /// Upstream makes Go's formatting errors of them, `%!s(float64=5)`.
    #[test]
    fn values_that_are_not_text_are_their_json() {
        let file = json!({"n": 5, "yes": true, "nothing": null, "f": 1.5});
        let expected = json!({
            "n": {"n": "5"}, "yes": {"yes": "true"}, "nothing": {"nothing": ""}, "f": {"f": "1.5"},
        });
        assert_eq!(secrets(&flat(), file), Ok(expected));
    }

    #[test]
    fn objects_at_the_top_can_be_secrets_of_several_values() {
        let file =
            json!({"db": {"user": "u", "more": {"port": 1}}, "plain": "p", "n": 5, "l": ["x"]});
        let expected = json!({"db": {"user": "u", "more:port": "1"}, "plain": {"plain": "p"}});
        assert_eq!(secrets(&Layout::Nested(":".into()), file), Ok(expected));
    }

    /// Upstream ignores what goes wrong on the way through the file.
    #[test]
    fn two_values_of_one_name_are_refused() {
        let refused = secrets(&flat(), json!({"a": {"b": "1"}, "a:b": "2"}));
        let text = r#"two values have the name "a:b" (see nestedSeparator)"#;
        assert_eq!(refused, Err(text.to_owned()));
    }
}
