//! The address of an invoked method at the application.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};

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
    pub(super) fn method(&self, method: &str, query: &str) -> Uri {
        let slash = if method.starts_with('/') { "" } else { "/" };
        let method = escape(method, is_path_byte);
        let target = match query {
            "" => format!("{slash}{method}"),
            query => format!("{slash}{method}?{}", escape(query, is_query_byte)),
        };
        let target = PathAndQuery::try_from(target).expect("every other byte has been escaped");
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).expect("scheme, authority and path are there")
    }
}

/// Escapes bytes that may not stand there, and `%` that begins no escape.
fn escape(text: &str, allowed: fn(u8) -> bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let keep = |at: usize| match bytes[at] {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
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
            ("100%", "", "http://127.0.0.1:80/100%25"),
            ("a%2Fb", "", "http://127.0.0.1:80/a%2Fb"),
        ] {
            assert_eq!(at(method, query), expected);
        }
    }

    #[test]
    fn ipv6_hosts_stand_in_brackets() {
        let uri = Base::new(Scheme::HTTPS, "::1", 8443).method("x", "");
        assert_eq!(uri.to_string(), "https://[::1]:8443/x");
    }
}
