//! What a caller may say about a request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use trilby_components::binding::BindingError;

/// Headers that belong to a connection, or say where a request begins and ends: a caller who could set them could slip
/// in a request of his own, or have it go elsewhere.
const NOT_THE_CALLERS: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// The same, without a constant of their own.
const NOT_THE_CALLERS_EITHER: &[&str] = &["keep-alive", "proxy-connection"];

/// What no URL has as it is, but texts that are meant as one may have, as Go's programs take them.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Sets a header that a caller asks for.
///
/// # Errors
/// It is none, or not the caller's to set.
pub(crate) fn set_header(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
) -> Result<(), BindingError> {
    let refused = |reason| {
        Err(BindingError::InvalidRequest(format!(
            "header {name:?}: {reason}"
        )))
    };
    let Ok(parsed) = HeaderName::try_from(name) else {
        return refused("no header can have this name");
    };
    let Ok(value) = HeaderValue::try_from(value) else {
        return refused("no header can have this value");
    };
    let known = NOT_THE_CALLERS.contains(&parsed);
    if known || NOT_THE_CALLERS_EITHER.contains(&parsed.as_str()) {
        return refused("it belongs to the connection, and cannot be set");
    }
    headers.insert(parsed, value);
    Ok(())
}

/// The URL that a text is, without its fragment, which no server sees.
///
/// # Errors
/// It is none of the web.
pub(crate) fn url(text: &str) -> Result<Uri, String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("the URL has control characters".to_owned());
    }
    let (text, _) = text.split_once('#').unwrap_or((text, ""));
    let escaped = utf8_percent_encode(text, ESCAPED).to_string();
    let uri: Uri = escaped
        .parse()
        .map_err(|error| format!("no URL: {error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => match has_sound_port(&uri) {
            true => Ok(uri),
            false => Err("its port is no number from 0 to 65535".to_owned()),
        },
        _ => Err("no URL of the web: http://… or https://…".to_owned()),
    }
}

/// The parser takes any text for one.
fn has_sound_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    authority.ends_with(host) || authority.ends_with(':') || uri.port_u16().is_some()
}

/// Takes the login out of a URL and makes it the header that it is meant as, unless there is one.
pub(crate) fn log_in<T>(request: &mut Request<T>) {
    let Some(authority) = request.uri().authority() else {
        return;
    };
    let Some((login, host)) = authority.as_str().rsplit_once('@') else {
        return;
    };
    let login: Vec<u8> = percent_decode_str(login).collect();
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(login)));
    let mut value = value.expect("base64 fits into a header");
    value.set_sensitive(true);
    let mut parts = request.uri().clone().into_parts();
    parts.authority = host.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    headers.entry(header::AUTHORIZATION).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_smuggle_a_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Host", "elsewhere"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "upgrade"),
            ("Keep-Alive", "1"),
            ("Upgrade", "h2c"),
            ("TE", "trailers"),
            ("Proxy-Connection", "x"),
            ("X-Name", "a\r\nHost: b"),
            ("X Name", "a"),
            ("X-Name:", "a"),
            ("", "a"),
        ] {
            let refused = set_header(&mut headers, name, value).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
        assert!(headers.is_empty());
        set_header(&mut headers, "X-Name", "ä").unwrap();
        assert_eq!(headers["x-name"].as_bytes(), "ä".as_bytes());
    }

    #[test]
    fn texts_are_urls_as_go_reads_them() {
        for (text, expected) in [
            ("http://a", "http://a/"),
            ("http://a/b c?d=ü#f", "http://a/b%20c?d=%C3%BC"),
            ("https://a:1/%20", "https://a:1/%20"),
            ("http://[::1]:80/", "http://[::1]:80/"),
        ] {
            assert_eq!(
                url(text).map(|uri| uri.to_string()),
                Ok(expected.to_owned())
            );
        }
        for text in [
            "",
            "a",
            "/a",
            "ftp://a",
            "http://",
            "http://a\n/",
            "http://a:b/",
        ] {
            assert!(url(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_login_in_the_url_is_a_header() {
        let mut request = Request::new(());
        *request.uri_mut() = url("http://me:p%40w@a:1/b").unwrap();
        log_in(&mut request);
        assert_eq!(request.uri(), "http://a:1/b");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Basic bWU6cEB3");
    }
}
