//! Data as applications send it.

use bytes::Bytes;

/// The text of data that is one JSON string, as the HTTP API passes on a text; other data as it is, as gRPC has it.
#[must_use]
pub fn unquoted(data: Bytes) -> Bytes {
    match serde_json::from_slice::<String>(&data) {
        Ok(text) => Bytes::from(text),
        Err(_) => data,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::unquoted;

    #[test]
    fn only_one_json_string_is_unquoted() {
        for (data, expected) in [
            (r#""a \"text\" é\n""#, "a \"text\" é\n"),
            (r#""""#, ""),
            ("text", "text"),
            (r#""one" "two""#, r#""one" "two""#),
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            ("", ""),
        ] {
            assert_eq!(unquoted(Bytes::from(data)), expected, "{data}");
        }
        let bytes = Bytes::from_static(b"\"\xff\"");
        assert_eq!(unquoted(bytes.clone()), bytes);
    }
}
