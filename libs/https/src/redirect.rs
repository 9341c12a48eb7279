//! What a redirect asks for, in the rules of Go's client.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION},
    uri::PathAndQuery,
};

use crate::Error;

/// The request that comes after this answer; `None` if the answer is none that leads elsewhere.
///
/// After 301, 302 and 303 that is a GET without a body, unless it was a HEAD; after 307 and 308 the same request again.
/// What is secret, credentials and [sensitive](HeaderValue::is_sensitive) headers, does not go to another server.
pub(crate) fn next<B>(
    request: &Request<Bytes>,
    answer: &Response<B>,
) -> Option<Result<Request<Bytes>, Error>> {
    let keeps_method = match answer.status().as_u16() {
        301..=303 => matches!(*request.method(), Method::GET | Method::HEAD),
        307 | 308 => true,
        _ => return None,
    };
    let location = answer.headers().get(LOCATION)?;
    let Some(uri) = resolve(request.uri(), location) else {
        let location = String::from_utf8_lossy(location.as_bytes());
        return Some(Err(Error::Url(location.into_owned())));
    };
    let mut headers = request.headers().clone();
    if is_elsewhere(request.uri(), &uri) {
        forget_secrets(&mut headers);
    }
    let mut next = match keeps_method {
        true => request.clone(),
        false => {
            headers.remove(CONTENT_TYPE);
            Request::new(Bytes::new())
        }
    };
    *next.uri_mut() = uri;
    *next.headers_mut() = headers;
    Some(Ok(next))
}

/// Whether it is another server, or the same without the TLS that it had.
fn is_elsewhere(from: &Uri, to: &Uri) -> bool {
    from.scheme() != to.scheme() || from.authority() != to.authority()
}

fn forget_secrets(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    let secrets = headers.iter().filter(|(_, value)| value.is_sensitive());
    let names: Vec<_> = secrets.map(|(name, _)| name.clone()).collect();
    for name in names {
        headers.remove(name);
    }
}

/// The URL that `to` is, seen from another.
fn resolve(from: &Uri, to: &HeaderValue) -> Option<Uri> {
    let to = to.to_str().ok()?;
    let has_scheme = to
        .split_once(':')
        .is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let mut parts = if has_scheme {
        to.parse::<Uri>().ok()?.into_parts()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{}://{rest}", from.scheme_str()?)
            .parse::<Uri>()
            .ok()?
            .into_parts()
    } else {
        let path = match to.as_bytes().first() {
            Some(b'/') => to.to_owned(),
            Some(b'?') => format!("{}{to}", from.path()),
            _ => {
                let folder = from
                    .path()
                    .rsplit_once('/')
                    .map_or("", |(folder, _)| folder);
                format!("{folder}/{to}")
            }
        };
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
        parts
    };
    let root = || PathAndQuery::from_static("/");
    parts.path_and_query = Some(parts.path_and_query.unwrap_or_else(root));
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Request<Bytes> {
        let mut token = HeaderValue::from_static("secret");
        token.set_sensitive(true);
        Request::post("https://a.test/one/two?x=y")
            .header("authorization", "Bearer secret")
            .header("content-type", "text/plain")
            .header("accept", "text/plain")
            .header("x-token", token)
            .body(Bytes::from("body"))
            .unwrap()
    }

    fn after(status: u16, location: &str) -> Option<Result<Request<Bytes>, Error>> {
        let answer = Response::builder()
            .status(status)
            .header("location", location)
            .body(())
            .unwrap();
        next(&post(), &answer)
    }

    #[test]
    fn locations_are_resolved_against_the_url_they_come_from() {
        for (location, expected) in [
            ("/three", "https://a.test/three"),
            ("three?z", "https://a.test/one/three?z"),
            ("?z", "https://a.test/one/two?z"),
            ("//b.test", "https://b.test/"),
            ("http://b.test/three", "http://b.test/three"),
        ] {
            let next = after(307, location).unwrap().unwrap();
            assert_eq!(next.uri().to_string(), expected, "{location}");
        }
        assert!(matches!(after(307, "http://a b"), Some(Err(Error::Url(_)))));
    }

    #[test]
    fn only_some_redirects_repeat_the_body() {
        for status in [301, 302, 303] {
            let next = after(status, "/three").unwrap().unwrap();
            assert_eq!(next.method(), Method::GET, "{status}");
            assert!(next.body().is_empty() && !next.headers().contains_key(CONTENT_TYPE));
        }
        for status in [307, 308] {
            let next = after(status, "/three").unwrap().unwrap();
            assert_eq!(
                (next.method(), &next.body()[..]),
                (&Method::POST, &b"body"[..])
            );
        }
        assert!(after(200, "/three").is_none() && after(304, "/three").is_none());
    }

    #[test]
    fn secrets_do_not_go_to_another_server() {
        let same = after(302, "/three").unwrap().unwrap();
        assert!(
            same.headers().contains_key("x-token") && same.headers().contains_key("authorization")
        );
        for location in ["https://b.test/", "http://a.test/", "https://a.test:444/"] {
            let other = after(307, location).unwrap().unwrap();
            let names: Vec<_> = other
                .headers()
                .keys()
                .map(http::HeaderName::as_str)
                .collect();
            assert_eq!(names.len(), 2, "{location}: {names:?}");
        }
    }
}
