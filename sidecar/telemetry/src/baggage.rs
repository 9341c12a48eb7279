//! W3C baggage: checked, and otherwise left as it is.
//!
//! The words of errors are those of OpenTelemetry's Go library, since upstream hands them to clients.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Values that travel with a trace.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The most members.
const MAX_MEMBERS: usize = 64;
/// The longest baggage, in bytes.
const MAX_BYTES: usize = 8192;
/// Errors that are named; more are counted.
const MAX_ERRORS: usize = 5;

/// Baggage that cannot be passed on, one line for each reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid baggage header: {0}")]
pub struct InvalidBaggage(String);

/// Baggage that was found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baggage {
    text: HeaderValue,
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    key: String,
    written: String,
}

impl Baggage {
    /// The baggage of a request; several headers are one list.
    ///
    /// # Errors
    /// A member is malformed, or there are too many.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, InvalidBaggage> {
        let mut values = headers.get_all(BAGGAGE).iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let mut text = first.as_bytes().to_vec();
        for value in values {
            text.push(b',');
            text.extend(value.as_bytes());
        }
        if text.is_empty() {
            return Ok(None);
        }
        let members = parse(&String::from_utf8_lossy(&text)).map_err(InvalidBaggage)?;
        let text = HeaderValue::from_bytes(&text)
            .map_err(|_| InvalidBaggage("baggage is no header value".to_owned()))?;
        Ok(Some(Self { text, members }))
    }

    /// As it came, in one header.
    #[must_use]
    pub fn text(&self) -> &HeaderValue {
        &self.text
    }

    /// As the gRPC API echoes it: decoded and written again, of members with the same key the last.
    #[must_use]
    pub fn rewritten(&self) -> Option<HeaderValue> {
        let written: Vec<&str> = self
            .members
            .iter()
            .map(|member| member.written.as_str())
            .collect();
        HeaderValue::from_str(&written.join(",")).ok()
    }
}

/// Every member, or all reasons against them.
fn parse(text: &str) -> Result<Vec<Member>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("baggage-string too large: {}", text.len()));
    }
    let (mut members, mut errors) = (Vec::<Member>::new(), Vec::new());
    let mut invalid = 0_usize;
    for part in text.split(',') {
        if members.len() >= MAX_MEMBERS {
            errors.push("too many list-members in baggage-string".to_owned());
            break;
        }
        match member(part) {
            Ok(member) if fits(&members, &member) => keep(&mut members, member),
            Ok(_) => {
                errors.push("baggage-string too large".to_owned());
                break;
            }
            Err(error) => {
                invalid += 1;
                if invalid <= MAX_ERRORS {
                    errors.push(error);
                }
            }
        }
    }
    if invalid > MAX_ERRORS {
        errors.push(format!(
            "and {} more invalid member(s)",
            invalid - MAX_ERRORS
        ));
    }
    if errors.is_empty() {
        Ok(members)
    } else {
        Err(errors.join("\n"))
    }
}

fn fits(members: &[Member], new: &Member) -> bool {
    let others = members.iter().filter(|member| member.key != new.key);
    let size: usize = others.map(|member| member.written.len() + 1).sum();
    size + new.written.len() <= MAX_BYTES
}

fn keep(members: &mut Vec<Member>, new: Member) {
    match members.iter_mut().find(|member| member.key == new.key) {
        Some(old) => *old = new,
        None => members.push(new),
    }
}

fn member(text: &str) -> Result<Member, String> {
    let (pair, properties) = match text.split_once(';') {
        Some((pair, properties)) => (pair, Some(properties)),
        None => (text, None),
    };
    let properties = properties.map(written_properties).transpose()?;
    let (key, value) = pair
        .split_once('=')
        .ok_or_else(|| format!("invalid baggage list-member: {}", quoted(text)))?;
    let key = key.trim();
    if key.is_empty() || !key.bytes().all(in_key) {
        return Err(format!("invalid key: {}", quoted(key)));
    }
    let raw = value.trim();
    if !raw.bytes().all(in_value) {
        return Err(format!("invalid value: {}", quoted(value)));
    }
    let mut written = format!(
        "{key}={}",
        rewritten(raw).map_err(|error| format!("invalid value: {error}"))?
    );
    if let Some(properties) = properties {
        written.push(';');
        written.push_str(&properties);
    }
    Ok(Member {
        key: key.to_owned(),
        written,
    })
}

fn written_properties(text: &str) -> Result<String, String> {
    let mut written = Vec::new();
    for property in text.split(';').filter(|property| !property.is_empty()) {
        let property = property_of(property)
            .ok_or_else(|| format!("invalid baggage list-member property: {}", quoted(property)))?;
        written.push(property);
    }
    Ok(written.join(";"))
}

/// `key` or `key=value`, with spaces around either.
fn property_of(text: &str) -> Option<String> {
    let blank = [' ', '\t'];
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.trim_matches(blank))),
        None => (text, None),
    };
    let key = key.trim_matches(blank);
    if key.is_empty() || !key.bytes().all(in_key) {
        return None;
    }
    match value {
        None => Some(key.to_owned()),
        Some(value) if value.bytes().all(in_value) => {
            rewritten(value).ok().map(|value| format!("{key}={value}"))
        }
        Some(_) => None,
    }
}

/// Decodes percent signs and writes them again in one way; what is no UTF-8 becomes U+FFFD.
fn rewritten(value: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte.filter(|_| after[0] != b'+') else {
            let bad = String::from_utf8_lossy(&after[..after.len().min(2)]).into_owned();
            return Err(format!("invalid URL escape {}", quoted(&format!("%{bad}"))));
        };
        bytes.push(byte);
        rest = &after[2..];
    }
    let mut written = String::with_capacity(value.len());
    for byte in String::from_utf8_lossy(&bytes).bytes() {
        if byte != b'%' && in_value(byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(written)
}

fn in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn in_value(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// A text as Go's `%q` shows it.
fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => shown.extend(['\\', character]),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            other if other.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => shown.push(other),
        }
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests;
