//! JSON that keeps its text, and is read as leniently as publishers and apps are used to.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use serde_json::value::RawValue;

/// How deep JSON may be nested: as deep as Go reads it.
pub(crate) const MAX_DEPTH: usize = 10_000;

/// The members of an object, with their values as they are written. Of those with one name the last counts.
pub(crate) type Members<'a> = BTreeMap<Text, &'a RawValue>;

/// A text of JSON. Where it escapes half a character, a replacement stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }

        // Of strings read as bytes, the reader does not ask that they are well formed.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// What `raw` says, if it is a string.
pub(crate) fn text_of(raw: &str) -> Option<String> {
    if !raw.trim_start().starts_with('"') {
        return None;
    }
    serde_json::from_str::<Text>(raw).ok().map(|text| text.0)
}

/// A member by its name; without one, one whose name differs in case only.
pub(crate) fn member<'m, 'a>(members: &'m Members<'a>, name: &str) -> Option<&'m &'a RawValue> {
    let exact = members.iter().find(|(known, _)| known.0 == name);
    let folded = || {
        let mut members = members.iter();
        members.find(|(known, _)| known.0.eq_ignore_ascii_case(name))
    };
    exact.or_else(folded).map(|(_, raw)| raw)
}

/// Bytes as text: what is no UTF-8 is replaced.
pub(crate) fn lossy(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// What keeps `text` from being JSON that others can read: depth, and control characters, which [`Text`] lets pass. Only
/// asked of what was read as JSON.
pub(crate) fn flaw(text: &str, most_depth: usize) -> Option<String> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            0..0x20 if quoted => return Some("a text has a control character in it".to_owned()),
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most_depth {
            return Some(format!("nested more than {most_depth} deep"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Members, flaw, member, text_of};

    #[test]
    fn texts_are_read_even_where_they_are_half_a_character() {
        assert_eq!(text_of(r#""a\n""#).as_deref(), Some("a\n"));
        assert!(text_of(r#""\ud800""#).is_some());
        for other in ["1", "null", "[97]", "{}", "", "\"a"] {
            assert_eq!(text_of(other), None, "{other}");
        }
    }

    #[test]
    fn members_are_found_in_any_case() {
        let members: Members<'_> = serde_json::from_str(r#"{"A":1,"b":2,"B":3,"a":4}"#).unwrap();
        let value = |name| member(&members, name).map(|raw| raw.get());
        assert_eq!(value("b"), Some("2"));
        assert_eq!(value("A"), Some("1"));
        assert_eq!(value("c"), None);
        let members: Members<'_> = serde_json::from_str(r#"{"pubsubName":"x"}"#).unwrap();
        assert!(member(&members, "pubsubname").is_some());
    }

    #[test]
    fn depth_counts_outside_of_texts_and_control_characters_within() {
        assert_eq!(flaw(r#"["[[[\"[["]"#, 1), None);
        assert!(flaw("[[1]]", 1).is_some_and(|flaw| flaw.contains("deep")));
        assert_eq!(flaw("[[1],\n[2],\t[3]]", 2), None);
        assert!(flaw("{\"a\u{1}\":1}", 2).is_some_and(|flaw| flaw.contains("control")));
        assert_eq!(flaw(r#"{"a\u0001":1}"#, 2), None);
    }
}
