//! Trace context on its way through the sidecar: passed on unchanged, and translated where HTTP and gRPC
//! carry it differently. The sidecar adds no spans of its own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::blocks::invoke::headers::Origin;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_BIN: HeaderName = HeaderName::from_static("grpc-trace-bin");

/// The length of a binary trace context: version, and trace id, span id and flags, each behind its tag.
const BINARY_LENGTH: usize = 29;

/// A call on its way to an HTTP application: binary context becomes `traceparent`.
pub fn for_http(mut headers: HeaderMap, origin: Origin) -> HeaderMap {
    let binary = headers.remove(TRACE_BIN);
    if origin == Origin::Grpc
        && let Some(parent) = binary.and_then(|binary| from_binary(&binary))
    {
        headers.insert(TRACEPARENT, parent);
    }
    headers
}

/// A call on its way to a gRPC application: it gets both forms.
pub fn for_grpc(mut headers: HeaderMap, origin: Origin) -> HeaderMap {
    match (headers.get(TRACE_BIN), headers.get(TRACEPARENT)) {
        (Some(binary), _) if origin == Origin::Grpc => {
            if let Some(parent) = from_binary(binary) {
                headers.insert(TRACEPARENT, parent);
            }
        }
        (_, Some(parent)) => {
            if let Some(binary) = to_binary(parent) {
                headers.insert(TRACE_BIN, binary);
            }
        }
        _ => {}
    }
    headers
}

fn from_binary(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.as_bytes();
    let bytes = STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .ok()?;
    let tagged = bytes.len() == BINARY_LENGTH
        && bytes[0] == 0
        && bytes[1] == 0
        && bytes[18] == 1
        && bytes[27] == 2;
    if !tagged {
        return None;
    }
    let text = format!(
        "00-{}-{}-{:02x}",
        hex(&bytes[2..18]),
        hex(&bytes[19..27]),
        bytes[28]
    );
    HeaderValue::from_str(&text).ok()
}

fn to_binary(value: &HeaderValue) -> Option<HeaderValue> {
    let mut parts = value.to_str().ok()?.trim().split('-');
    let (_version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if (trace.len(), span.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    let mut bytes = Vec::with_capacity(BINARY_LENGTH);
    bytes.extend([0, 0]);
    unhex(trace, &mut bytes)?;
    bytes.push(1);
    unhex(span, &mut bytes)?;
    bytes.push(2);
    unhex(flags, &mut bytes)?;
    HeaderValue::from_str(&STANDARD_NO_PAD.encode(bytes)).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str, into: &mut Vec<u8>) -> Option<()> {
    if !text.is_ascii() {
        return None;
    }
    for at in (0..text.len()).step_by(2) {
        into.push(u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Origin, TRACE_BIN, TRACEPARENT, for_grpc, for_http};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn with_parent() -> HeaderMap {
        HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(PARENT))])
    }

    #[test]
    fn http_context_reaches_http_unchanged() {
        assert_eq!(for_http(with_parent(), Origin::Http)[TRACEPARENT], PARENT);
    }

    #[test]
    fn both_forms_say_the_same() {
        let mut headers = for_grpc(with_parent(), Origin::Http);
        assert!(headers.contains_key(TRACE_BIN));
        headers.remove(TRACEPARENT);
        let headers = for_http(headers, Origin::Grpc);
        assert_eq!(headers[TRACEPARENT], PARENT);
        assert!(!headers.contains_key(TRACE_BIN));
    }

    #[test]
    fn malformed_context_is_left_out() {
        for bad in [
            "",
            "00-zz",
            "00-4bf92f3577b34da6a3ce929d0e0e473ü-00f067aa0ba902b7-01",
        ] {
            let headers = HeaderMap::from_iter([(
                TRACEPARENT,
                HeaderValue::from_bytes(bad.as_bytes()).unwrap(),
            )]);
            assert!(
                !for_grpc(headers, Origin::Http).contains_key(TRACE_BIN),
                "{bad}"
            );
        }
    }
}
