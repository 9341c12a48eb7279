//! JSON as protobuf's `Struct`: numbers are doubles there.

use prost_types::{ListValue, Struct, Value, value::Kind};

/// How deep values may be nested: what a reader of protobuf with its usual limit of 100 messages still takes.
const MAX_DEPTH: usize = 30;

/// `fields` as a `Struct`. What does not fit (too deep, a number too large) stands there as the text of its JSON.
pub(super) fn of<'a>(fields: impl Iterator<Item = (String, &'a str)>) -> Struct {
    Struct {
        fields: fields.map(|(name, json)| (name, value(json))).collect(),
    }
}

fn value(json: &str) -> Value {
    let parsed = serde_json::from_str(json).ok();
    let fitting = parsed.and_then(|parsed| fit(parsed, MAX_DEPTH));
    fitting.unwrap_or_else(|| kind(Kind::StringValue(json.to_owned())))
}

fn fit(json: serde_json::Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(kind(match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(value),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64()?),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(values) => {
            let values = values.into_iter().map(|value| fit(value, depth));
            let values = values.collect::<Option<Vec<_>>>()?;
            Kind::ListValue(ListValue { values })
        }
        serde_json::Value::Object(members) => {
            let fields = members
                .into_iter()
                .map(|(name, value)| Some((name, fit(value, depth)?)));
            let fields = fields.collect::<Option<_>>()?;
            Kind::StructValue(Struct { fields })
        }
    }))
}

fn kind(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}
