//! What a policy sees of a request.

use http::{HeaderName, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// The input document, in upstream's form.
pub(crate) fn document(head: &Parts, included: &[HeaderName], body: &str) -> Value {
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let raw_query = head.uri.query().unwrap_or_default();
    json!({
        "request": {
            "method": head.method.as_str(),
            "path": path,
            "path_parts": parts,
            "raw_query": raw_query,
            "query": query(raw_query),
            "headers": headers(head, included),
            "scheme": head.uri.scheme_str().unwrap_or_default(),
            "body": body,
        }
    })
}

/// Every parameter with all its values.
fn query(raw: &str) -> Map<String, Value> {
    let mut query = Map::new();
    for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
        let values = query
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(Value::String(value.into_owned()));
        }
    }
    query
}

/// The included headers, under their names as Go writes them.
fn headers(head: &Parts, included: &[HeaderName]) -> Map<String, Value> {
    let present = included.iter().filter_map(|name| {
        let values = head.headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let joined = Value::String(values.join(", "));
        (!values.is_empty()).then(|| (canonical(name), joined))
    });
    present.collect()
}

/// `x-my-header` as `X-My-Header`.
fn canonical(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}
