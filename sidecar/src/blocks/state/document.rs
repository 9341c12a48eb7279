//! JSON as stores keep it.

use bytes::Bytes;
use serde_json::value::RawValue;

/// How deep documents may be nested, as upstream has it.
const MAX_DEPTH: usize = 10_000;

/// A JSON text as stores keep it, see [`compact`].
///
/// # Errors
/// The text is no JSON, or is nested more than 10,000 deep.
pub fn compact_json(text: &[u8]) -> Result<Bytes, serde_json::Error> {
    compact(serde_json::from_slice(text)?)
}

/// A document without the space between its parts. All else stays as it was written: no number is rounded, no name or
/// text changes its place or its spelling.
///
/// # Errors
/// It is nested more than 10,000 deep.
pub(super) fn compact(document: &RawValue) -> Result<Bytes, serde_json::Error> {
    without_space(document.get()).ok_or_else(|| {
        let reason = format!("exceeded max depth of {MAX_DEPTH}");
        serde::de::Error::custom(reason)
    })
}

/// Without space outside of texts; `None` when it is too deep. The text is known to be JSON.
fn without_space(text: &str) -> Option<Bytes> {
    let mut compacted = Vec::with_capacity(text.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
        compacted.push(byte);
    }
    Some(compacted.into())
}

#[cfg(test)]
mod tests {
    use super::compact_json;

    #[test]
    fn nothing_but_space_is_lost() {
        for (text, stored) in [
            (
                r#" { "b" : 1.50 , "a" : [ 9007199254740993, -0, 1e400 ] } "#,
                r#"{"b":1.50,"a":[9007199254740993,-0,1e400]}"#,
            ),
            (
                "\t123456789012345678901234567890.10\r\n",
                "123456789012345678901234567890.10",
            ),
            (r#""a \" b \\" "#, r#""a \" b \\""#),
            (r#"{"a \\":" \" { "}"#, r#"{"a \\":" \" { "}"#),
            ("null", "null"),
        ] {
            assert_eq!(compact_json(text.as_bytes()).unwrap(), stored, "{text}");
        }
        for wrong in ["", "{", "1 2", "\"a", "nul", "\u{feff}1"] {
            assert!(compact_json(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact_json(nested(10_000).as_bytes()).is_ok());
        let refused = compact_json(nested(10_001).as_bytes()).unwrap_err();
        assert!(
            refused.to_string().contains("exceeded max depth"),
            "{refused}"
        );
    }
}
