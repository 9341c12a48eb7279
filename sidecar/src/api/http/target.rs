//! Whom an HTTP request invokes, and what: from a header, from basic authentication, or from the path.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::escape::{unescape, unescape_path};
use crate::blocks::invoke::headers::APP_ID;
use crate::path::clean;

/// A found target; the header that named it is taken out of the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub target: String,
    pub method: String,
}

/// Finds the target of a request whose path is still escaped; `None` when nothing names one.
pub(super) fn find(path: &str, headers: &mut HeaderMap) -> Option<Found> {
    let path = unescape_path(path).ok()?;
    let named = headers.remove(APP_ID);
    let named = named
        .as_ref()
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty());
    if let Some(target) = named {
        return Some(Found {
            target: target.to_owned(),
            method: whole_path(&path),
        });
    }
    if let Some(target) = from_basic_authentication(headers) {
        return Some(Found {
            target,
            method: whole_path(&path),
        });
    }
    from_path(&path)
}

fn whole_path(path: &str) -> String {
    clean(path).trim_start_matches('/').to_owned()
}

/// `dapr-app-id:<target>` as user and password, which clients write into their base address.
fn from_basic_authentication(headers: &HeaderMap) -> Option<String> {
    let encoded = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, target) = decoded.split_once(':')?;
    let names_target = user.eq_ignore_ascii_case(APP_ID.as_str()) && !target.contains(':');
    names_target.then(|| target.to_owned())
}

/// `/v1.0/invoke/<target>/method/<method>`. Slashes before the target may be doubled, and the target may
/// be an address, so the path must not have been cleaned before.
fn from_path(path: &str) -> Option<Found> {
    let rest = after_segment(path, "v1.0")?;
    let rest = after_segment(rest, "invoke")?.trim_start_matches('/');
    let (target, method) = rest
        .split_once("/method/")
        .filter(|(target, _)| !target.is_empty())?;
    let method = clean(method);
    let target = match unescape(target) {
        Ok(decoded) if !decoded.is_empty() => decoded,
        _ => Cow::Borrowed(target),
    };
    let method = if method == "." { "" } else { &method };
    Some(Found {
        target: target.into_owned(),
        method: method.to_owned(),
    })
}

fn after_segment<'a>(path: &'a str, segment: &str) -> Option<&'a str> {
    path.trim_start_matches('/')
        .strip_prefix(segment)
        .filter(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Found, find};

    fn check(path: &str, headers: &[(&'static str, &str)], expected: Option<(&str, &str)>) {
        let mut map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        let expected = expected.map(|(target, method)| Found {
            target: target.into(),
            method: method.into(),
        });
        assert_eq!(find(path, &mut map), expected, "{path}");
        assert!(!map.contains_key("dapr-app-id"));
    }

    #[test]
    fn path_names_target_and_method() {
        check(
            "/v1.0/invoke/b/method/orders/1",
            &[],
            Some(("b", "orders/1")),
        );
        check(
            "/v1.0//invoke//b.ns/method/a/../c",
            &[],
            Some(("b.ns", "c")),
        );
        check("/v1.0/invoke/b/method/", &[], Some(("b", "")));
        check("/v1.0/invoke/b/method/a%20b", &[], Some(("b", "a b")));
        check(
            "/v1.0/invoke/b/method/x/method/y",
            &[],
            Some(("b", "x/method/y")),
        );
        check(
            "/v1.0/invoke/https://host:1/method/x",
            &[],
            Some(("https://host:1", "x")),
        );
    }

    #[test]
    fn path_without_method_names_nothing() {
        check("/v1.0/invoke/b", &[], None);
        check("/v1.0/invoke/b/method", &[], None);
        check("/v1.0/invoke//method/x", &[], None);
        check("/other", &[], None);
    }

    #[test]
    fn header_wins_and_takes_the_whole_path() {
        check(
            "/v1.0/invoke/b/method/x",
            &[("dapr-app-id", "c")],
            Some(("c", "v1.0/invoke/b/method/x")),
        );
        check(
            "/orders//1/",
            &[("dapr-app-id", "c")],
            Some(("c", "orders/1")),
        );
    }

    #[test]
    fn basic_authentication_names_the_target() {
        // dapr-app-id:b
        check(
            "/orders",
            &[("authorization", "Basic ZGFwci1hcHAtaWQ6Yg==")],
            Some(("b", "orders")),
        );
        // user:password
        check(
            "/orders",
            &[("authorization", "Basic dXNlcjpwYXNzd29yZA==")],
            None,
        );
    }
}
