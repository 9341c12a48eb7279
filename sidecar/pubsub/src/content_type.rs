//! Content types as they decide over data: compared without case, and without what follows a `;`.

/// A CloudEvent as JSON.
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";
/// Any bytes.
pub(crate) const BINARY: &str = "application/octet-stream";

fn is(content_type: &str, expected: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.eq_ignore_ascii_case(expected)
}

pub(crate) fn is_cloud_event(content_type: &str) -> bool {
    is(content_type, CLOUD_EVENT)
}

pub(crate) fn is_json(content_type: &str) -> bool {
    is(content_type, "application/json")
}

pub(crate) fn is_binary(content_type: &str) -> bool {
    is(content_type, BINARY)
}

/// Protocol buffers. What of them is text is so by chance: they are treated as bytes always.
pub(crate) fn is_protobuf(content_type: &str) -> bool {
    ["application/cloudevents+protobuf", "application/x-protobuf"]
        .iter()
        .any(|expected| is(content_type, expected))
}

pub(crate) fn is_text(content_type: &str) -> bool {
    let start = content_type.as_bytes().get(..5);
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
        || is(content_type, "application/xml")
}

#[cfg(test)]
mod tests {
    use super::{is_binary, is_cloud_event, is_json, is_protobuf, is_text};

    #[test]
    fn case_and_parameters_do_not_count() {
        assert!(is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("application/json5") && !is_json(""));
        assert!(is_cloud_event("application/cloudevents+json"));
        assert!(!is_cloud_event("application/cloudevents-batch+json"));
        assert!(is_binary("application/octet-stream;a=b"));
        assert!(is_protobuf("application/x-protobuf"));
        assert!(is_text("TEXT/csv") && is_text("application/xml") && !is_text("té"));
    }
}
