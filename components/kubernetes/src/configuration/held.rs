//! What a ConfigMap holds, and what changed between two of them. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use trilby_components::configuration::{Item, Items};

/// The content of a ConfigMap; of one that is not there, nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    version: String,
    values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

impl Held {
    pub(super) fn of(object: Option<&ConfigMap>) -> Self {
        let Some(object) = object else {
            return Self::default();
        };
        let texts = object.data.iter().flatten();
        let texts = texts.map(|(key, text)| (key.clone(), Value::Text(text.clone())));
        let bytes = object.binary_data.iter().flatten();
        let bytes = bytes.map(|(key, bytes)| (key.clone(), Value::Bytes(bytes.0.clone())));
        let version = object.metadata.resource_version.clone();
        Self {
            version: version.unwrap_or_default(),
            values: texts.chain(bytes).collect(),
        }
    }

    pub(super) fn items(&self) -> Items {
        let items = self.values.iter();
        items
            .map(|(key, value)| (key.clone(), item(value, &self.version)))
            .collect()
    }

    /// What is new or another in `next`; what is gone has no value, and metadata that says so.
    pub(super) fn changes(&self, next: &Self) -> Items {
        // An object that is gone has no version any more: then the last one stands for it.
        let version = match next.version.as_str() {
            "" => &self.version,
            version => version,
        };
        let changed = next.values.iter();
        let changed = changed.filter(|(key, value)| self.values.get(*key) != Some(value));
        let changed = changed.map(|(key, value)| (key.clone(), item(value, version)));
        let gone = self.values.keys();
        let gone = gone.filter(|key| !next.values.contains_key(*key));
        let gone = gone.map(|key| (key.clone(), deleted(version)));
        changed.chain(gone).collect()
    }
}

fn item(value: &Value, version: &str) -> Item {
    let (value, metadata) = match value {
        Value::Text(text) => (text.clone(), BTreeMap::new()),
        Value::Bytes(bytes) => (STANDARD.encode(bytes), note("encoding", "base64")),
    };
    Item {
        value,
        version: version.to_owned(),
        metadata,
    }
}

fn deleted(version: &str) -> Item {
    Item {
        value: String::new(),
        version: version.to_owned(),
        metadata: note("deleted", "true"),
    }
}

fn note(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::Held;

    fn object(version: &str, data: &[(&str, &str)]) -> ConfigMap {
        let texts = data.iter();
        let mut object = ConfigMap {
            data: Some(
                texts
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ConfigMap::default()
        };
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    #[test]
    fn values_have_the_objects_version_and_bytes_are_base64() {
        let mut object = object("7", &[("a", "x")]);
        object.binary_data = Some([("b".to_owned(), ByteString(vec![0, 255]))].into());
        let items = Held::of(Some(&object)).items();
        assert_eq!(
            (items["a"].value.as_str(), items["a"].version.as_str()),
            ("x", "7")
        );
        assert!(items["a"].metadata.is_empty());
        assert_eq!(items["b"].value, "AP8=");
        assert_eq!(items["b"].metadata["encoding"], "base64");
    }

    #[test]
    fn only_what_changed_is_told() {
        let before = Held::of(Some(&object("1", &[("a", "x"), ("b", "x"), ("c", "x")])));
        let after = Held::of(Some(&object("2", &[("a", "x"), ("b", "y"), ("d", "x")])));
        let changes = before.changes(&after);
        assert_eq!(changes.keys().collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(changes["b"].value, "y");
        assert_eq!(changes["c"].metadata["deleted"], "true");
        assert!(changes.values().all(|item| item.version == "2"));
        let gone = after.changes(&Held::of(None));
        assert_eq!(gone.len(), 3);
        assert!(
            gone.values()
                .all(|item| item.version == "2" && item.value.is_empty())
        );
    }
}
