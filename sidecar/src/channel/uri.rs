//! The address of an invoked method at the application.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};

use crate::blocks::invoke::CallError;

/// Where the application listens.
#[derive(Debug, Clone)]
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
}

impl Base {
    /// # Panics
    /// Never: an unusable host was refused when the configuration was read.
    pub(super) fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let authority = Authority::try_from(format!("{host}:{port}"));
        let authority = authority.unwrap_or_else(|_| Authority::from_static("localhost"));
        Self { scheme, authority }
    }

    /// The address of `method` with `query`; characters that an address cannot hold are escaped.
    ///
    /// # Errors
    /// A `%` in the method begins no escape: what the application would make of it is anybody's guess.
    pub(super) fn method(&self, method: &str, query: &str) -> Result<Uri, CallError> {
        let slash = if method.starts_with('/') { "" } else { "/" };
        let method = escape_path(method).map_err(|bad| {
            let (scheme, authority) = (&self.scheme, &self.authority);
            CallError::unknown(format!(
                "parse \"{scheme}://{authority}{slash}{method}\": invalid URL escape {bad:?}"
            ))
        })?;
        let target = match query {
            "" => format!("{slash}{method}"),
            query => format!("{slash}{method}?{}", escape_query(query)),
        };
        let target = PathAndQuery::try_from(target).expect("every other byte has been escaped");
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Ok(Uri::from_parts(parts).expect("scheme, authority and path are there"))
    }
}

/// A method as it stands in an address.
///
/// # Errors
/// The `%` that begins no escape, with what follows it.
pub(crate) fn escape_path(method: &str) -> Result<Cow<'_, str>, String> {
    match bad_escape(method) {
        Some(bad) => Err(bad),
        None => Ok(escape(method, is_path_byte)),
    }
}

fn bad_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let at = (0..bytes.len()).find(|at| bytes[*at] == b'%' && !is_escape(&bytes[*at..]))?;
    let bad = &bytes[at..bytes.len().min(at + 3)];
    Some(String::from_utf8_lossy(bad).into_owned())
}

/// Whether a `%` is followed by two hexadecimal digits.
fn is_escape(bytes: &[u8]) -> bool {
    bytes
        .get(1..3)
        .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
}

/// A query as it stands in an address; a `%` that begins no escape is escaped itself.
pub(crate) fn escape_query(query: &str) -> Cow<'_, str> {
    escape(query, is_query_byte)
}

/// Escapes bytes that may not stand there, and `%` that begins no escape.
fn escape(text: &str, allowed: fn(u8) -> bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let keep = |at: usize| match bytes[at] {
        b'%' => is_escape(&bytes[at..]),
        byte => allowed(byte),
    };
    if (0..bytes.len()).all(keep) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        if keep(at) {
            escaped.push(char::from(*byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a String takes everything");
        }
    }
    Cow::Owned(escaped)
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/|".contains(&byte)
}

fn is_query_byte(byte: u8) -> bool {
    is_path_byte(byte) || matches!(byte, b'?' | b'[' | b']' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use http::uri::Scheme;

    use super::Base;

    fn at(method: &str, query: &str) -> String {
        Base::new(Scheme::HTTP, "127.0.0.1", 80)
            .method(method, query)
            .unwrap()
            .to_string()
    }

    #[test]
    fn methods_and_queries_become_addresses() {
        for (method, query, expected) in [
            ("orders/1", "", "http://127.0.0.1:80/orders/1"),
            (
                "/orders",
                "a=1&b=%20",
                "http://127.0.0.1:80/orders?a=1&b=%20",
            ),
            ("", "", "http://127.0.0.1:80/"),
            ("a b/ü", "", "http://127.0.0.1:80/a%20b/%C3%BC"),
            ("a", "100%", "http://127.0.0.1:80/a?100%25"),
            ("a%2Fb", "", "http://127.0.0.1:80/a%2Fb"),
        ] {
            assert_eq!(at(method, query), expected);
        }
    }

    #[test]
    fn percent_that_begins_no_escape_is_refused() {
        let base = Base::new(Scheme::HTTP, "127.0.0.1", 80);
        for (method, bad) in [("test%stream", "%st"), ("100%", "%"), ("a%2", "%2")] {
            assert_eq!(
                base.method(method, "").unwrap_err().message,
                format!("parse \"http://127.0.0.1:80/{method}\": invalid URL escape {bad:?}")
            );
        }
    }

    #[test]
    fn ipv6_hosts_stand_in_brackets() {
        let uri = Base::new(Scheme::HTTPS, "::1", 8443)
            .method("x", "")
            .unwrap();
        assert_eq!(uri.to_string(), "https://[::1]:8443/x");
    }
}
