//! Values between JSON and the server, in the forms of upstream's driver.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mysql_async::consts::ColumnType;
use mysql_async::{Column, Params, Value};
use serde_json::Value as Json;
use trilby_components::binding::BindingError;

/// The collation of what is no text.
const BINARY: u16 = 63;

/// Parameters of a statement.
///
/// # Errors
/// One is a list or an object, which no parameter can be.
pub(super) fn params(given: &[Json]) -> Result<Params, BindingError> {
    if given.is_empty() {
        return Ok(Params::Empty);
    }
    let values = given.iter().enumerate().map(|(at, value)| match value {
        Json::Null => Ok(Value::NULL),
        Json::Bool(value) => Ok(Value::from(*value)),
        Json::String(text) => Ok(Value::from(text.as_str())),
        Json::Number(number) => Ok(self::number(number)),
        Json::Array(_) | Json::Object(_) => Err(BindingError::InvalidRequest(format!(
            "params: parameter {} is neither text nor number, true, false or null",
            at + 1
        ))),
    });
    values.collect::<Result<_, _>>().map(Params::Positional)
}

fn number(number: &serde_json::Number) -> Value {
    if let Some(whole) = number.as_i64() {
        return Value::Int(whole);
    }
    if let Some(whole) = number.as_u64() {
        return Value::UInt(whole);
    }
    let float = number.as_f64().unwrap_or_default();
    // As `LIMIT 10.0`, which only a whole number can be.
    match float.fract() == 0.0 && float.abs() < 1e15 {
        true => format!("{float:.0}")
            .parse()
            .map_or(Value::Double(float), Value::Int),
        false => Value::Double(float),
    }
}

/// A value of a column; `None` for NULL.
pub(super) fn json(value: &Value, column: &Column) -> Option<Json> {
    Some(match value {
        Value::NULL => return None,
        Value::Int(number) => Json::from(*number),
        Value::UInt(number) => Json::from(*number),
        Value::Float(number) => shortest(&number.to_string()),
        Value::Double(number) => Json::from(*number),
        Value::Bytes(bytes) if is_text(column) => Json::from(String::from_utf8_lossy(bytes)),
        Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Date(year, month, day, hour, minute, second, micros) => Json::from(match year {
            // What upstream's driver makes of a day that never was.
            0 => "0001-01-01T00:00:00Z".to_owned(),
            _ => format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z",
                fraction(*micros)
            ),
        }),
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if *negative { "-" } else { "" };
            let hours = days * 24 + u32::from(*hours);
            let micros = format!("{micros:06}");
            let shown = usize::from(column.decimals()).min(micros.len());
            let point = if shown > 0 { "." } else { "" };
            let rest = &micros[..shown];
            Json::from(format!(
                "{sign}{hours:02}:{minutes:02}:{seconds:02}{point}{rest}"
            ))
        }
    })
}

/// The number that the text says, not the nearest with more digits.
fn shortest(text: &str) -> Json {
    text.parse::<f64>().map_or(Json::Null, Json::from)
}

fn fraction(micros: u32) -> String {
    match micros {
        0 => String::new(),
        micros => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    }
}

/// Whether a column holds text, or bytes; MySQL's JSON is bytes to upstream.
fn is_text(column: &Column) -> bool {
    use ColumnType as Of;
    match column.column_type() {
        Of::MYSQL_TYPE_JSON => false,
        Of::MYSQL_TYPE_BIT
        | Of::MYSQL_TYPE_TINY_BLOB
        | Of::MYSQL_TYPE_MEDIUM_BLOB
        | Of::MYSQL_TYPE_LONG_BLOB
        | Of::MYSQL_TYPE_BLOB
        | Of::MYSQL_TYPE_VAR_STRING
        | Of::MYSQL_TYPE_STRING
        | Of::MYSQL_TYPE_GEOMETRY => column.character_set() != BINARY,
        _ => true,
    }
}
