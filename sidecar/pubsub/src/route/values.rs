//! Events as CEL's values. Numbers are doubles, as they are for everybody who writes such rules: `1` and `1.0` are the same
//! there, and an integer is made with `int()`.

use std::{collections::HashMap, fmt, sync::Arc};

use cel::{Value, objects::Key};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::reading::Reading;
use crate::{Event, json::Text};

/// How large what a rule reads is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Values in lists and maps.
    pub(super) values: usize,
    /// Bytes of JSON.
    pub(super) bytes: usize,
}

/// What `reading` needs of `event`.
pub(super) fn of(event: &Event, reading: &Reading) -> Result<(Value, Size), String> {
    let mut fields: HashMap<Key, Value> = HashMap::new();
    let mut size = Size::default();
    let mut add = |name: &str, value: Value, bytes: usize| {
        size.values += 1 + count(&value);
        size.bytes += bytes;
        fields.insert(Key::String(Arc::new(name.to_owned())), value);
    };
    for name in event.names().filter(|name| reading.wants(name)) {
        let json = event.json(name).unwrap_or_default();
        let Any(value) = serde_json::from_slice(&json)
            .map_err(|error| format!("{name} of the event cannot be read by it: {error}"))?;
        add(name, value, json.len());
    }
    if let Some(data) = event.binary_data().filter(|_| reading.wants("data")) {
        add("data", Value::Bytes(Arc::new(data.to_vec())), data.len());
    }
    Ok((Value::Map(fields.into()), size))
}

fn count(value: &Value) -> usize {
    match value {
        Value::List(values) => values.iter().map(|value| 1 + count(value)).sum(),
        Value::Map(map) => map.map.values().map(|value| 1 + count(value)).sum(),
        _ => 0,
    }
}

/// JSON of any kind. It is as deep as the reader of JSON goes: 128.
struct Any(Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor).map(Any)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers are doubles here")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Float(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers are doubles here")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Float(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(Arc::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Any(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(Arc::new(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members: HashMap<Key, Value> = HashMap::new();
        while let Some((Text(name), Any(value))) = map.next_entry()? {
            members.insert(Key::String(Arc::new(name)), value);
        }
        Ok(Value::Map(members.into()))
    }
}
