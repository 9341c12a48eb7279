//! Escapes in paths and queries, read as Dapr's HTTP API reads them: `+` is a space, also in a path.

use std::borrow::Cow;
use std::collections::HashMap;

/// A `%` that begins no escape, or bytes that are no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL escape in {0:?}")]
pub(super) struct BadEscape(String);

/// The text behind an escaped one.
pub(super) fn unescape(text: &str) -> Result<Cow<'_, str>, BadEscape> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    decode(text, Plus::IsSpace).map(Cow::Owned)
}

/// As [`unescape`], but `+` stays: the rule for a whole path.
pub(super) fn unescape_path(text: &str) -> Result<Cow<'_, str>, BadEscape> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    decode(text, Plus::Stays).map(Cow::Owned)
}

#[derive(Clone, Copy, PartialEq)]
enum Plus {
    IsSpace,
    Stays,
}

fn decode(text: &str, plus: Plus) -> Result<String, BadEscape> {
    let bad = || BadEscape(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if plus == Plus::IsSpace => b' ',
            b'%' => {
                let (high, low) = (rest.next().and_then(hex), rest.next().and_then(hex));
                high.zip(low)
                    .map(|(high, low)| high << 4 | low)
                    .ok_or_else(bad)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .map(|digit| u8::try_from(digit).expect("a hexadecimal digit is below 16"))
}

/// A query string. Pairs that are not properly escaped are left out.
#[derive(Debug, Default)]
pub(super) struct QueryString<'a>(&'a str);

impl<'a> QueryString<'a> {
    pub(super) fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let named = self.pairs().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.into_owned()).collect()
    }

    /// The request's metadata: parameters named `metadata.<name>`, of which the first value counts.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let mut metadata = HashMap::new();
        for (key, value) in self.pairs() {
            if let Some(name) = key.strip_prefix("metadata.") {
                metadata
                    .entry(name.to_owned())
                    .or_insert_with(|| value.into_owned());
            }
        }
        metadata
    }

    fn pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(key).ok()?, unescape(value).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryString, unescape, unescape_path};

    #[test]
    fn plus_is_a_space_in_parts_and_stays_in_paths() {
        assert_eq!(unescape("a+b%2Bc").unwrap(), "a b+c");
        assert_eq!(unescape_path("a+b%20c").unwrap(), "a+b c");
    }

    #[test]
    fn bad_escapes_are_refused() {
        for bad in ["%", "%1", "%zz", "%ff"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn first_value_of_metadata_counts() {
        let query = QueryString::new(Some(
            "metadata.ttlInSeconds=1&metadata.ttlInSeconds=2&x=y&bad=%zz",
        ));
        assert_eq!(query.metadata()["ttlInSeconds"], "1");
        assert_eq!(query.metadata().len(), 1);
        assert_eq!(query.get("x").unwrap(), "y");
        assert!(query.get("bad").is_none());
    }
}
