//! Names and paths that requests carry.

use trilby_identity::SpiffeId;
use trilby_sidecar::blocks::invoke::Target;
use trilby_sidecar::path::{clean, normalize_method, validate_name};

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

/// An identity is written as it was read.
pub(crate) fn spiffe_id(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string().parse::<SpiffeId>().as_ref(), Ok(&id));
    }
}
