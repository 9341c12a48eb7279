//! Parameters of a statement, from JSON: as text, which the server reads as whatever type the parameter has.

use std::error::Error;

use bytes::BytesMut;
use serde_json::Value;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};
use trilby_components_sql::request::plain;

/// The type that leaves it to the server which one it is.
pub(super) const ANY: Type = Type::UNKNOWN;

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument<'a>(pub(super) &'a Value);

impl Argument<'_> {
    /// Whether its text depends on the type: a list may be meant as an array or as JSON.
    pub(super) fn needs_its_type(&self) -> bool {
        self.0.is_array()
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = match (self.0, ty.kind()) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Array(parts), Kind::Array(_)) => array(parts),
            (value, _) => text(value),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => plain(number),
        other => other.to_string(),
    }
}

/// As PostgreSQL writes an array. How deep it can be is limited where it was read.
fn array(parts: &[Value]) -> String {
    let parts = parts.iter().map(|part| match part {
        Value::Null => "NULL".to_owned(),
        Value::Array(parts) => array(parts),
        part => {
            let text = text(part).replace('\\', r"\\").replace('"', r#"\""#);
            format!("\"{text}\"")
        }
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(value: &Value, ty: &Type) -> Option<String> {
        let mut out = BytesMut::new();
        match Argument(value).to_sql(ty, &mut out).unwrap() {
            IsNull::Yes => None,
            IsNull::No => Some(String::from_utf8(out.to_vec()).unwrap()),
        }
    }

    #[test]
    fn values_are_the_text_of_their_parameters_type() {
        for (value, ty, expected) in [
            (json!(null), Type::INT4, None),
            (json!(1.0), Type::INT4, Some("1")),
            (json!("a\"b"), Type::TEXT, Some("a\"b")),
            (json!(true), Type::BOOL, Some("true")),
            (json!({"a": 1}), Type::JSONB, Some(r#"{"a":1}"#)),
            (json!([1, "a"]), Type::JSONB, Some(r#"[1,"a"]"#)),
            (json!([1, 2]), Type::INT4_ARRAY, Some(r#"{"1","2"}"#)),
            (
                json!(["a\"\\,{}", null]),
                Type::TEXT_ARRAY,
                Some(r#"{"a\"\\,{}",NULL}"#),
            ),
            (
                json!([[1], [2]]),
                Type::INT4_ARRAY,
                Some(r#"{{"1"},{"2"}}"#),
            ),
        ] {
            assert_eq!(sent(&value, &ty).as_deref(), expected, "{value}");
        }
    }
}
