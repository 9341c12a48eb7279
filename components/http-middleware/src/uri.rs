//! Paths and queries of requests, decoded and put back.

use std::borrow::Cow;

use http::{Request, Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a path cannot carry as it is: everything but unreserved characters and `$&+,/:;=@`, as Go has it.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'!')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path of a request, decoded; broken escapes stay as they are.
pub(crate) fn decoded_path(uri: &Uri) -> Cow<'_, str> {
    percent_decode_str(uri.path()).decode_utf8_lossy()
}

/// Path and query as they are sent; `/` when there is no path.
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// Replaces path and query of a request. `path` is not escaped yet, `query` is.
pub(crate) fn rewrite<B>(request: &mut Request<B>, path: &str, query: &str) {
    let mut target = utf8_percent_encode(path, PATH).to_string();
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(target) else {
        return;
    };
    parts.path_and_query = Some(target);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{decoded_path, path_and_query, rewrite};

    #[test]
    fn a_path_is_escaped_when_it_is_replaced() {
        let mut request = Request::get("http://app:80/old?x=1").body(()).unwrap();
        rewrite(&mut request, "/a b/ü?", "y=2");
        assert_eq!(request.uri(), "http://app:80/a%20b/%C3%BC%3F?y=2");
        assert_eq!(decoded_path(request.uri()), "/a b/ü?");
        rewrite(&mut request, "/b", "");
        assert_eq!(path_and_query(request.uri()), "/b");
    }
}
