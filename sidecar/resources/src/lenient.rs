//! What Kubernetes would refuse or drop, but files reach no API server, and upstream's JSON library takes it:
//! numbers and booleans where a resource has text, such as `interval: 0`, and the names of fields in any case, such
//! as `baseURL`.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

/// Reads JSON as `T`.
pub(crate) fn from_slice<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    T::deserialize(Lenient(serde_json::from_slice(json)?))
}

struct Lenient(Value);

impl<'de> Deserializer<'de> for Lenient {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Lenient)))
            }
            Value::Object(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name, Lenient(value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match text(&self.0) {
            Some(text) => visitor.visit_string(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Object(given) = &mut self.0 {
            spell(given, fields);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Gives each of `fields` its own spelling where `given` has it in another case only.
fn spell(given: &mut Map<String, Value>, fields: &[&str]) {
    for field in fields {
        if given.contains_key(*field) {
            continue;
        }
        let same = |name: &&String| name.eq_ignore_ascii_case(field);
        let Some(name) = given.keys().find(same).cloned() else {
            continue;
        };
        if let Some(value) = given.remove(&name) {
            given.insert((*field).to_owned(), value);
        }
    }
}

/// The field of an object in any case; null when there is none.
pub(crate) fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    let in_any_case = || {
        let mut fields = object.as_object()?.iter();
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name))
    };
    let exact = object.get(name);
    exact
        .or_else(|| in_any_case().map(|(_, value)| value))
        .unwrap_or(&Value::Null)
}

/// What a value is in a field of text; `None` for a list, an object or nothing.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        // Not `1.0` but `1`.
        Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string(),
            None => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl fmt::Debug for Lenient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold secrets.
        formatter.write_str("Lenient")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trilby_crds::{Component, HttpEndpoint, Resiliency};

    use super::from_slice;

    #[test]
    fn text_may_be_written_as_a_number_or_a_boolean() {
        let breaker = json!({"interval": 0, "timeout": 1.0, "trip": true, "maxRequests": 2});
        let json = json!({"spec": {"policies": {"circuitBreakers": {"b": breaker}}}});
        let read: Resiliency = from_slice(json.to_string().as_bytes()).unwrap();
        let breaker = serde_json::to_value(read).unwrap();
        let breaker = &breaker["spec"]["policies"]["circuitBreakers"]["b"];
        assert_eq!(breaker["interval"], "0");
        assert_eq!(breaker["timeout"], "1");
        assert_eq!(breaker["trip"], "true");
        assert_eq!(breaker["maxRequests"], 2);
    }

    #[test]
    fn fields_may_be_written_in_any_case() {
        let spec = json!({"baseURL": "https://a", "clientTls": {"rootCa": {"VALUE": "pem"}}});
        let json = json!({"Spec": spec}).to_string();
        let read: HttpEndpoint = from_slice(json.as_bytes()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(read["spec"]["baseUrl"], "https://a");
        assert_eq!(read["spec"]["clientTLS"]["rootCA"]["value"], "pem");
        let both = json!({"spec": {"baseURL": "https://other", "baseUrl": "https://exact"}});
        let read: HttpEndpoint = from_slice(both.to_string().as_bytes()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(read["spec"]["baseUrl"], "https://exact");
    }

    #[test]
    fn keys_that_users_choose_keep_their_case() {
        let json = json!({"spec": {"policies": {"timeouts": {"Slow": "1s", "slow": "2s"}}}});
        let read: Resiliency = from_slice(json.to_string().as_bytes()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        let timeouts = &read["spec"]["policies"]["timeouts"];
        assert_eq!(timeouts, &json!({"Slow": "1s", "slow": "2s"}));
    }

    #[test]
    fn values_of_any_type_keep_theirs_and_other_mistakes_are_found() {
        let json = json!({"spec": {"type": "t", "metadata": [{"name": "n", "value": 5}]}});
        let read: Component = from_slice(json.to_string().as_bytes()).unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(read["spec"]["metadata"][0]["value"], 5);
        for wrong in [
            json!({"spec": {"type": []}}),
            json!({"spec": 1}),
            json!([1]),
        ] {
            assert!(from_slice::<Component>(wrong.to_string().as_bytes()).is_err());
        }
    }
}
