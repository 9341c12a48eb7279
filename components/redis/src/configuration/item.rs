//! What a string at a key says.

use std::collections::BTreeMap;

use tracing::warn;
use trilby_components::configuration::Item;

/// What stands between a value and its version.
const SEPARATOR: &str = "||";

/// The item at a key; none where its value is empty.
pub(super) fn item(key: &[u8], stored: &[u8]) -> Option<(String, Item)> {
    let key = String::from_utf8_lossy(key).into_owned();
    let text = String::from_utf8_lossy(stored);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        warn!(
            key,
            "a configuration value is no UTF-8: its other bytes are shown as \u{fffd}"
        );
    }
    let (value, version) = text.rsplit_once(SEPARATOR).unwrap_or((&text, ""));
    let item = Item {
        value: value.to_owned(),
        version: version.to_owned(),
        metadata: BTreeMap::new(),
    };
    (!value.is_empty()).then_some((key, item))
}

#[cfg(test)]
mod tests {
    use super::item;

    #[test]
    fn the_version_stands_behind_the_last_separator() {
        for (stored, value, version) in [
            ("v", "v", ""),
            ("v||1", "v", "1"),
            ("v||", "v", ""),
            ("a||b||2", "a||b", "2"),
            ("a|b", "a|b", ""),
            ("||||3", "||", "3"),
        ] {
            let (key, item) = item(b"k", stored.as_bytes()).unwrap();
            assert_eq!(
                (key.as_str(), item.value.as_str(), item.version.as_str()),
                ("k", value, version),
                "{stored}"
            );
        }
        assert_eq!(item(b"k", b""), None);
        assert_eq!(item(b"k", b"||7"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let (_, item) = item(b"k", b"a\xff||1").unwrap();
        assert_eq!(
            (item.value.as_str(), item.version.as_str()),
            ("a\u{fffd}", "1")
        );
    }
}
