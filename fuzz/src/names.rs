//! Names and paths that requests carry.

use http::{HeaderMap, HeaderValue};
use trilby_identity::SpiffeId;
use trilby_sidecar::blocks::invoke::Target;
use trilby_sidecar::path::{clean, normalize_method, validate_name};

use trilby_telemetry::SpanContext;
use trilby_telemetry::baggage::Baggage;

use crate::text;

/// A method that is accepted is what it is normalised to, and leads nowhere else.
pub(crate) fn path(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let cleaned = clean(text);
    assert_eq!(clean(&cleaned), cleaned);
    if validate_name(text).is_ok() {
        assert!(!text.contains('/'), "{text:?}");
    }
    let Ok(method) = normalize_method(text) else {
        return;
    };
    let again = normalize_method(&method).expect("a normal method is accepted");
    assert_eq!(again, method);
    let decides = method.split(['?', '#']).next().unwrap_or_default();
    assert!(
        decides
            .split('/')
            .all(|segment| segment != ".." && segment != "."),
        "{method:?}"
    );
}

/// A target has two parts at most.
pub(crate) fn invocation_target(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(target) = Target::parse(text, "default") {
        assert!(!target.app_id.contains('.') && !target.namespace.contains('.'));
    }
}

/// Baggage that is accepted is accepted as it is written again.
pub(crate) fn baggage(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("baggage"), value)]);
    let Ok(Some(baggage)) = Baggage::of(&headers) else {
        return;
    };
    assert_eq!(baggage.text().as_bytes(), data);
    if let Some(again) = baggage.rewritten().filter(|again| !again.is_empty()) {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("baggage"), again)]);
        assert!(Baggage::of(&headers).is_ok(), "{headers:?}");
    }
}

/// A place in a trace is read as it was written, in every form.
pub(crate) fn trace_context(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let read = [
        SpanContext::from_text(&value),
        SpanContext::from_binary(&value),
    ];
    for context in read.into_iter().flatten() {
        if context.is_valid() {
            assert_eq!(SpanContext::from_text(&context.to_text()), Some(context));
        }
        for written in [context.to_binary(), context.to_padded_binary()] {
            assert_eq!(SpanContext::from_binary(&written), Some(context));
        }
    }
}

/// An identity is written as it was read.
pub(crate) fn spiffe_id(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string().parse::<SpiffeId>().as_ref(), Ok(&id));
    }
}
