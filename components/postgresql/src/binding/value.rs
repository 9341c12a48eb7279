//! Values of the server as JSON, in the forms of upstream's driver.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_postgres::types::{FromSql, Kind, Type};

type Wrong = Box<dyn Error + Sync + Send>;

/// Seconds from 1970 to 2000, where the server's times begin.
const EPOCH: i64 = 946_684_800;

/// One value, written in JSON: no digit of it is lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Json(pub(super) String);

impl<'a> FromSql<'a> for Json {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        written(ty, raw).map(Self)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn written(ty: &Type, raw: &[u8]) -> Result<String, Wrong> {
    match ty.kind() {
        // A type of types is made of one that was there before it.
        Kind::Domain(base) => return written(base, raw),
        Kind::Enum(_) => return text(raw),
        Kind::Array(_) => return array(ty, raw),
        _ => {}
    }
    Ok(match *ty {
        Type::BOOL => bool::from_sql(ty, raw)?.to_string(),
        Type::INT2 => i16::from_sql(ty, raw)?.to_string(),
        Type::INT4 => i32::from_sql(ty, raw)?.to_string(),
        Type::INT8 => i64::from_sql(ty, raw)?.to_string(),
        Type::OID => u32::from_sql(ty, raw)?.to_string(),
        Type::FLOAT4 => float(f32::from_sql(ty, raw)?.to_string())?,
        Type::FLOAT8 => float(f64::from_sql(ty, raw)?.to_string())?,
        Type::NUMERIC => numeric(raw)?,
        Type::BYTEA => Value::from(STANDARD.encode(raw)).to_string(),
        Type::JSON => std::str::from_utf8(raw)?.to_owned(),
        Type::JSONB => match raw.split_first() {
            Some((1, text)) => std::str::from_utf8(text)?.to_owned(),
            _ => return Err("the JSON is of a version that is not known".into()),
        },
        // As bytes: what upstream's driver makes of one.
        Type::UUID => Value::from(raw.to_vec()).to_string(),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => time(SignedDuration::from_micros(
            i64::from_be_bytes(raw.try_into()?),
        ))?,
        Type::DATE => {
            let days = i32::from_be_bytes(raw.try_into()?);
            time(SignedDuration::from_hours(i64::from(days) * 24))?
        }
        Type::INET | Type::CIDR => network(raw)?,
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::UNKNOWN
        | Type::CHAR
        | Type::XML
        | Type::VOID => text(raw)?,
        _ => {
            let name = ty.name();
            return Err(format!("type {name} has no form in JSON here: cast it to text").into());
        }
    })
}

fn text(raw: &[u8]) -> Result<String, Wrong> {
    Ok(Value::from(std::str::from_utf8(raw)?).to_string())
}

fn array(ty: &Type, raw: &[u8]) -> Result<String, Wrong> {
    let parts: Vec<Option<Json>> = Vec::from_sql(ty, raw)?;
    let parts = parts.into_iter();
    let parts: Vec<_> = parts
        .map(|part| part.map_or("null".to_owned(), |Json(text)| text))
        .collect();
    Ok(format!("[{}]", parts.join(",")))
}

/// JSON has no word for what is no number.
fn float(text: String) -> Result<String, Wrong> {
    match text.ends_with(|last: char| last.is_ascii_digit()) {
        true => Ok(text),
        false => Err(format!("{text} is no number of JSON: cast it to text").into()),
    }
}

fn time(since: SignedDuration) -> Result<String, Wrong> {
    let start = Timestamp::from_second(EPOCH).expect("it is a time");
    let time = start.checked_add(since);
    let time = time.map_err(|_| "a time beyond all years: cast it to text")?;
    Ok(format!("\"{time}\""))
}

/// Four digits at a time, of which the first has a weight, and how many digits are shown behind the point.
fn numeric(raw: &[u8]) -> Result<String, Wrong> {
    let (words, []) = raw.as_chunks::<2>() else {
        return Err("a number with half a digit".into());
    };
    let words: Vec<i16> = words.iter().map(|word| i16::from_be_bytes(*word)).collect();
    let [_, weight, sign, scale, digits @ ..] = &words[..] else {
        return Err("a number without a beginning".into());
    };
    let sign = match u16::from_be_bytes(sign.to_be_bytes()) {
        0 => "",
        0x4000 => "-",
        0xC000 => return Ok("\"NaN\"".to_owned()),
        _ => return Err("an infinite number: cast it to text".into()),
    };
    // Of the power of 10,000 at this place.
    let at = |place: i32| {
        let index = usize::try_from(i32::from(*weight) - place).ok();
        index
            .and_then(|index| digits.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text: String = (0..=i32::from(*weight))
        .rev()
        .map(|place| format!("{:04}", at(place)))
        .collect();
    let scale = usize::try_from(*scale)?;
    let whole = text.trim_start_matches('0');
    text = if whole.is_empty() {
        "0".to_owned()
    } else {
        whole.to_owned()
    };
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4))?;
        let fraction: String = (1..=groups)
            .map(|place| format!("{:04}", at(-place)))
            .collect();
        text = format!("{text}.{}", &fraction[..scale]);
    }
    Ok(format!("{sign}{text}"))
}

/// Family, bits of the network, whether it is one, length, address.
fn network(raw: &[u8]) -> Result<String, Wrong> {
    let [_, bits, _, _, address @ ..] = raw else {
        return Err("an address without a beginning".into());
    };
    let address = match *address {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(address)?).to_string(),
    };
    Ok(format!("\"{address}/{bits}\""))
}
