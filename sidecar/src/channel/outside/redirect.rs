//! Which redirects are followed, and what goes along: the rules of Go's client, which upstream uses, but for headers that
//! were configured for the first host: they stay there.

use axum::body::Body;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION,
};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Response, StatusCode, Uri};

use super::OutsideCall;

/// What an answer means for the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is the answer.
    Answer,
    /// Ask there instead.
    Follow {
        /// Where.
        uri: Uri,
        /// With the same verb and body; else with GET and none.
        keep_body: bool,
    },
}

/// Reads an answer.
pub(super) fn step(call: &OutsideCall, response: &Response<Body>) -> Step {
    let keep_body = match response.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Step::Answer,
    };
    if keep_body && call.body.is_err() {
        return Step::Answer;
    }
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    match location.and_then(|location| resolve(&call.uri, location)) {
        Some(uri) => Step::Follow { uri, keep_body },
        None => Step::Answer,
    }
}

/// The address that a reference means on a page of `base`; `None` for what cannot be asked.
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let lower = reference.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return reference
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.host().is_some());
    }
    let scheme = base.scheme()?;
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    if reference.is_empty() || has_scheme(reference) {
        return None;
    }
    let target = target(base.path(), reference);
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn has_scheme(reference: &str) -> bool {
    reference
        .split(['/', '?'])
        .next()
        .is_some_and(|first| first.contains(':'))
}

fn target(base: &str, reference: &str) -> String {
    if let Some(query) = reference.strip_prefix('?') {
        return format!("{base}?{query}");
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
        format!("{folder}{path}")
    };
    let cleaned = crate::path::clean(&joined);
    let slash = if joined.ends_with('/') && cleaned != "/" {
        "/"
    } else {
        ""
    };
    match query {
        Some(query) => format!("{cleaned}{slash}?{query}"),
        None => format!("{cleaned}{slash}"),
    }
}

impl OutsideCall {
    /// Turns the call to where it was redirected.
    pub(super) fn move_to(&mut self, uri: Uri, keep_body: bool) {
        if !keep_body {
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
            self.body = Ok(bytes::Bytes::new());
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
        }
        if !same_origin(&self.uri, &uri) {
            self.own_headers.clear();
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
        }
        self.uri = uri;
    }
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16()
            .unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) {
                443
            } else {
                80
            })
    };
    one.scheme() == other.scheme() && one.host() == other.host() && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use http::header::{AUTHORIZATION, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue, Method, Response, Uri};

    use super::{Step, resolve, step};
    use crate::channel::outside::OutsideCall;

    const CONFIGURED: http::HeaderName = http::HeaderName::from_static("x-api-key");

    fn call(method: Method) -> OutsideCall {
        let value = HeaderValue::from_static("secret");
        OutsideCall {
            method,
            uri: Uri::from_static("http://first.example/a/b"),
            headers: HeaderMap::from_iter([
                (AUTHORIZATION, value.clone()),
                (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            ]),
            own_headers: HeaderMap::from_iter([(CONFIGURED, value)]),
            body: Ok(Bytes::from_static(b"body")),
        }
    }

    fn answer(status: u16, location: &str) -> Response<Body> {
        Response::builder()
            .status(status)
            .header("location", location)
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn references_are_resolved_against_the_page() {
        let base = Uri::from_static("https://h:1/a/b?q");
        for (reference, expected) in [
            ("http://other/x#y", Some("http://other/x")),
            ("//other/x", Some("https://other/x")),
            ("/x/../y?z=1", Some("https://h:1/y?z=1")),
            ("c/", Some("https://h:1/a/c/")),
            ("../c", Some("https://h:1/c")),
            ("?z", Some("https://h:1/a/b?z")),
            ("", None),
            ("mailto:someone", None),
        ] {
            let resolved = resolve(&base, reference).map(|uri| uri.to_string());
            assert_eq!(resolved.as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn only_redirects_with_a_place_are_followed() {
        let call = call(Method::POST);
        let follow = |keep_body| Step::Follow {
            uri: Uri::from_static("http://other/"),
            keep_body,
        };
        for (status, expected) in [
            (200, Step::Answer),
            (301, follow(false)),
            (302, follow(false)),
            (303, follow(false)),
            (304, Step::Answer),
            (307, follow(true)),
            (308, follow(true)),
        ] {
            assert_eq!(step(&call, &answer(status, "http://other/")), expected);
        }
        assert_eq!(step(&call, &Response::new(Body::empty())), Step::Answer);
    }

    #[test]
    fn body_that_is_gone_is_not_sent_again() {
        let mut call = call(Method::POST);
        call.body = Err(Body::empty());
        assert_eq!(step(&call, &answer(307, "http://other/")), Step::Answer);
        assert_ne!(step(&call, &answer(302, "http://other/")), Step::Answer);
    }

    #[test]
    fn secrets_stay_with_the_host_they_were_given_for() {
        let mut same = call(Method::POST);
        same.move_to(Uri::from_static("http://first.example:80/c"), true);
        assert_eq!(same.method, Method::POST);
        assert!(same.headers.contains_key(AUTHORIZATION));
        assert!(same.own_headers.contains_key(CONFIGURED));
        let mut other = call(Method::POST);
        other.move_to(Uri::from_static("http://second.example/c"), false);
        assert_eq!(other.method, Method::GET);
        assert!(other.headers.is_empty() && other.own_headers.is_empty());
        assert_eq!(other.body.unwrap(), "");
    }
}
