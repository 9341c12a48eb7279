//! What a document holds of a value.
//!
//! As upstream: text as a string, JSON as BSON's own types, so that it can be queried; a string is read as it stands.
//! What JSON cannot be in BSON without a loss (numbers of more digits, names that are no field names, the same name
//! twice) is a string of it: both kinds of sidecars read that as what was written. Bytes that are no text are BSON's
//! binary data, which upstream's sidecar shows as JSON of its own making: a string cannot hold them.

mod number;
mod read;

use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document};
use serde::Deserialize as _;
use serde_json::value::RawValue;
use trilby_components::state::Value;

pub(crate) use read::bytes;

/// How deep documents may be in documents; MongoDB itself takes a hundred, some of which the value's own place needs.
const DEEPEST: usize = 80;

/// The value as a document holds it.
pub(crate) fn encode(value: &Value) -> Bson {
    match value {
        Value::Json(json) => match std::str::from_utf8(json) {
            Ok(text) => native(text, DEEPEST).unwrap_or_else(|| Bson::String(text.to_owned())),
            Err(_) => binary(json),
        },
        Value::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Bson::String(text.to_owned()),
            Err(_) => binary(bytes),
        },
    }
}

fn binary(bytes: &Bytes) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    })
}

/// JSON in BSON's own types; `None` where something would be lost, and for what is a string as a whole, which is kept
/// with its quotes.
fn native(json: &str, deepest: usize) -> Option<Bson> {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
    match json.as_bytes().first()? {
        b'"' => None,
        _ => member(json, deepest),
    }
}

fn member(json: &str, deepest: usize) -> Option<Bson> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok().map(Bson::String),
        b'{' => object(json, deepest.checked_sub(1)?).map(Bson::Document),
        b'[' => {
            let deepest = deepest.checked_sub(1)?;
            let members: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let members = members.into_iter().map(|one| member(one.get(), deepest));
            members.collect::<Option<Vec<_>>>().map(Bson::Array)
        }
        b't' | b'f' => serde_json::from_str(json).ok().map(Bson::Boolean),
        b'n' => serde_json::from_str::<()>(json).ok().map(|()| Bson::Null),
        _ => number::exact(json),
    }
}

fn object(json: &str, deepest: usize) -> Option<Document> {
    let mut document = Document::new();
    let fields = Fields::deserialize(&mut serde_json::Deserializer::from_str(json)).ok()?;
    for (name, value) in fields.0 {
        let usable = !name.is_empty() && !name.starts_with('$') && !name.contains(['.', '\0']);
        if !usable || document.contains_key(&name) {
            return None;
        }
        document.insert(name, member(value.get(), deepest)?);
    }
    Some(document)
}

/// The fields of an object, in the order in which they stand.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn json(text: &'static str) -> Bson {
        encode(&Value::Json(text.into()))
    }

    #[test]
    fn json_is_of_bsons_own_types() {
        let text = r#"{"b":1,"a":[true,null,"x",-2.50,{"c":9007199254740993}]}"#;
        let expected = doc! {
            "b": 1_i64,
            "a": [true, Bson::Null, "x", -2.5, {"c": 9_007_199_254_740_993_i64}],
        };
        assert_eq!(json(text), Bson::Document(expected));
        assert_eq!(json(" 7 "), Bson::Int64(7));
        assert_eq!(json("null"), Bson::Null);
    }

    #[test]
    fn what_would_be_lost_is_text() {
        let deep = "[".repeat(90) + &"]".repeat(90);
        for text in [
            r#""a string with its quotes""#,
            r#"{"n":12345678901234567890}"#,
            "[0.1234567890123456789012]",
            "1e999",
            r#"{"a":1,"a":2}"#,
            r#"{"$set":1}"#,
            r#"{"a.b":1}"#,
            r#"{"":1}"#,
            &deep,
        ] {
            let value = Value::Json(text.to_owned().into());
            assert_eq!(encode(&value), Bson::String(text.to_owned()));
        }
    }

    #[test]
    fn bytes_are_text_or_binary() {
        let bytes = |bytes: &'static [u8]| encode(&Value::Binary(bytes.into()));
        assert_eq!(bytes(b"{\"a\":1}"), Bson::String("{\"a\":1}".into()));
        assert!(matches!(bytes(b"\xff\0"), Bson::Binary(_)));
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for text in [
            r#"{"b":1,"a":[true,null,"x\n\"é",-2.5,{"c":9007199254740993}]}"#,
            r#"{"n":12345678901234567890}"#,
            r#""text""#,
            "1e+300",
            "0.000001",
            "[]",
            "{}",
            "null",
        ] {
            let stored = json(text);
            assert_eq!(bytes("key", &stored).unwrap(), text, "{stored:?}");
        }
        let awkward = Value::Binary(Bytes::from_static(b"\x00\xff\r\n\xfe"));
        assert_eq!(
            bytes("key", &encode(&awkward)).as_ref(),
            Ok(awkward.bytes())
        );
    }
}
