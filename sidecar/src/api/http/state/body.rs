//! What requests of the state API say.
//!
//! Upstream reads the names of fields in any case, and `null` as nothing said.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Metadata;
use crate::api::http::any_case::AnyCase;

/// One item.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemBody {
    /// `None` for an empty one, too.
    #[serde(deserialize_with = "not_empty")]
    pub(super) key: Option<String>,
    pub(super) value: Option<Box<RawValue>>,
    pub(super) etag: Option<String>,
    pub(super) metadata: Option<Metadata>,
    pub(super) options: Option<AnyCase<OptionsBody>>,
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OptionsBody {
    pub(super) concurrency: Option<String>,
    pub(super) consistency: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BulkGetBody {
    pub(super) keys: Option<Vec<String>>,
    pub(super) parallelism: Option<i64>,
    pub(super) metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TransactionBody {
    pub(super) operations: Option<Vec<AnyCase<OperationBody>>>,
    pub(super) metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OperationBody {
    pub(super) operation: Option<String>,
    pub(super) request: Option<AnyCase<ItemBody>>,
}

#[cfg(test)]
mod tests {
    use super::{AnyCase, ItemBody, TransactionBody};

    fn item(text: &str) -> ItemBody {
        let AnyCase(item) =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        item
    }

    #[test]
    fn names_are_read_in_any_case_and_values_as_they_are_written() {
        let item = item(
            r#"{"Key":"k","VALUE": {"A": 9007199254740993 },"eTag":"1","Options":{"Concurrency":"first-write"},"x":1}"#,
        );
        assert_eq!(item.key.as_deref(), Some("k"));
        assert_eq!(item.value.unwrap().get(), r#"{"A": 9007199254740993 }"#);
        assert_eq!(item.etag.as_deref(), Some("1"));
        let AnyCase(options) = item.options.unwrap();
        assert_eq!(options.concurrency.as_deref(), Some("first-write"));
        let transaction = r#"{"Operations":[{"Operation":"delete","Request":{"KEY":"k"}}]}"#;
        let AnyCase(transaction): AnyCase<TransactionBody> =
            serde_json::from_str(transaction).unwrap();
        let AnyCase(operation) = &transaction.operations.unwrap()[0];
        let AnyCase(request) = operation.request.as_ref().unwrap();
        assert_eq!(request.key.as_deref(), Some("k"));
    }

    #[test]
    fn null_is_nothing_said() {
        let item = item(r#"{"key":"","value":null,"etag":null,"metadata":null,"options":null}"#);
        assert!(item.key.is_none() && item.etag.is_none() && item.options.is_none());
        assert!(item.value.is_none_or(|value| value.get() == "null"));
        for wrong in [
            r#"{"key":1}"#,
            r#"{"options":[]}"#,
            r#"{"metadata":{"a":1}}"#,
            "[]",
        ] {
            assert!(
                serde_json::from_str::<AnyCase<ItemBody>>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
