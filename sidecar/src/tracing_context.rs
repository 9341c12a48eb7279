//! Trace context between the protocols: HTTP carries it as text, gRPC also in binary form.

use http::HeaderMap;
use tonic::metadata::MetadataMap;
use trilby_telemetry::{SpanContext, TRACE_BIN, TRACEPARENT, TRACESTATE};

use crate::blocks::invoke::headers::Origin;

/// A call on its way to an HTTP application: binary context becomes `traceparent`.
pub fn for_http(mut headers: HeaderMap, origin: Origin) -> HeaderMap {
    let binary = headers.remove(TRACE_BIN);
    if origin == Origin::Grpc
        && let Some(context) = binary.and_then(|binary| SpanContext::from_binary(&binary))
    {
        headers.insert(TRACEPARENT, context.to_text());
    }
    headers
}

/// A call on its way to a gRPC application: it gets both forms.
pub fn for_grpc(mut headers: HeaderMap, origin: Origin) -> HeaderMap {
    let binary = headers.get(TRACE_BIN).filter(|_| origin == Origin::Grpc);
    if let Some(binary) = binary {
        if let Some(context) = SpanContext::from_binary(binary) {
            headers.insert(TRACE_BIN, context.to_binary());
            headers.insert(TRACEPARENT, context.to_text());
        }
    } else if let Some(text) = headers.get(TRACEPARENT) {
        // The empty context, which stands for none, has both forms, too.
        let context = SpanContext::from_text(text);
        let none = SpanContext::NONE;
        if let Some(context) = context.or_else(|| (*text == none.to_text()).then_some(none)) {
            headers.insert(TRACE_BIN, context.to_binary());
        }
    }
    headers
}

/// Puts the context of a call into the metadata of the request that carries it to another sidecar, which reads it
/// there before it reads the call.
pub fn tell_sidecar(headers: &HeaderMap, metadata: &mut MetadataMap) {
    let binary = headers.get(TRACE_BIN).and_then(SpanContext::from_binary);
    let Some(context) = binary.or_else(|| SpanContext::from_text(headers.get(TRACEPARENT)?)) else {
        return;
    };
    let carried = metadata.as_mut();
    carried.insert(TRACEPARENT, context.to_text());
    carried.insert(TRACE_BIN, context.to_binary());
    if let Some(state) = headers.get(TRACESTATE) {
        carried.insert(TRACESTATE, state.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use tonic::metadata::MetadataMap;

    use super::{Origin, TRACE_BIN, TRACEPARENT, TRACESTATE, for_grpc, for_http, tell_sidecar};

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
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(TRACEPARENT, value)]);
            let headers = for_grpc(headers, Origin::Http);
            assert!(!headers.contains_key(TRACE_BIN), "{bad}");
        }
    }

    #[test]
    fn the_next_sidecar_reads_context_and_state_from_metadata() {
        let mut headers = with_parent();
        headers.insert(TRACESTATE, HeaderValue::from_static("a=1"));
        let mut metadata = MetadataMap::new();
        tell_sidecar(&headers, &mut metadata);
        let metadata = metadata.into_headers();
        assert_eq!(metadata[TRACEPARENT], PARENT);
        assert_eq!(metadata[TRACESTATE], "a=1");
        assert_eq!(metadata[TRACE_BIN].len(), 39);
    }
}
