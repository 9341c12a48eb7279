//! Headers of an invoked call: what may pass, what is added, and the form they have between sidecars.
//!
//! Inside the sidecar headers are a [`HeaderMap`], whose names know no case. That is what makes identity
//! headers safe: overwriting one overwrites every spelling of it.

use std::collections::HashMap;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use trilby_proto::internals::v1::ListStringValue;

/// The metadata of an internal request or response.
pub type Wire = HashMap<String, ListStringValue>;

/// The app id that the caller asked for.
pub const DESTINATION: HeaderName = HeaderName::from_static("destination-app-id");
/// The caller's namespace, set by sidecars only.
pub const CALLER_NAMESPACE: HeaderName = HeaderName::from_static("dapr-caller-namespace");
/// The caller's app id, set by sidecars only.
pub const CALLER_ID: HeaderName = HeaderName::from_static("dapr-caller-app-id");
/// The callee's app id, set by sidecars only.
pub const CALLEE_ID: HeaderName = HeaderName::from_static("dapr-callee-app-id");
/// The target of a call, as an application writes it.
pub const APP_ID: HeaderName = HeaderName::from_static("dapr-app-id");
/// The token that applications and the sidecar show each other.
pub const API_TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The API through which a call entered; it decides how header names look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// HTTP: names in canonical case.
    Http,
    /// gRPC: metadata, in lower case.
    Grpc,
}

/// Who takes part in a call.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// The caller's namespace.
    pub caller_namespace: &'a str,
    /// The caller's app id.
    pub caller: &'a str,
    /// The callee's app id.
    pub callee: &'a str,
}

/// Sets the identity headers; whatever stood there before is gone, in every spelling.
pub fn stamp_identity(headers: &mut HeaderMap, parties: &Parties<'_>) {
    set(headers, CALLER_NAMESPACE, parties.caller_namespace);
    set(headers, CALLER_ID, parties.caller);
    set(headers, CALLEE_ID, parties.callee);
}

/// This host, as it appears in forwarding headers.
#[derive(Debug, Clone)]
pub struct ForwardingHost {
    address: HeaderValue,
    name: HeaderValue,
    forwarded: HeaderValue,
}

impl ForwardingHost {
    /// From the host's address and name.
    pub fn new(address: std::net::IpAddr, name: &str) -> Self {
        let node = match address {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        Self {
            address: value(&address.to_string()),
            name: value(name),
            forwarded: value(&format!("for={node};by={node};host={name}")),
        }
    }
}

/// Adds what a sidecar adds when it forwards to another host.
pub fn stamp_forwarding(headers: &mut HeaderMap, host: &ForwardingHost) {
    headers.append(X_FORWARDED_FOR, host.address.clone());
    headers.append(X_FORWARDED_HOST, host.name.clone());
    headers.append(FORWARDED, host.forwarded.clone());
}

/// Removes what belongs to one connection only, also what `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const HOP_BY_HOP: [&str; 9] = [
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-authenticate",
    ];
    if headers.contains_key(CONNECTION) {
        for name in connection_tokens(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn connection_tokens(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .collect()
}

/// The form between sidecars. Values that are not UTF-8 lose what the wire cannot carry.
pub fn to_wire(headers: &HeaderMap, origin: Origin) -> Wire {
    let mut wire = Wire::with_capacity(headers.keys_len());
    for name in headers.keys() {
        if name == HOST {
            continue;
        }
        let values = headers.get_all(name).iter();
        let values = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        wire.insert(wire_name(name, origin), ListStringValue { values });
    }
    wire
}

/// Reads the form between sidecars. Names that HTTP cannot carry are dropped; where spellings compete,
/// the lower-case one wins, since that is the one sidecars set.
pub fn from_wire(wire: Wire) -> (HeaderMap, Origin) {
    let origin = origin_of(&wire);
    let mut headers = HeaderMap::with_capacity(wire.len());
    let (lower, other): (Vec<_>, Vec<_>) = wire
        .into_iter()
        .partition(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    for (name, list) in lower.into_iter().chain(other) {
        let Some(name) = header_name(&name) else {
            continue;
        };
        if headers.contains_key(&name) {
            continue;
        }
        for text in list.values {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name.clone(), value);
            }
        }
    }
    (headers, origin)
}

fn origin_of(wire: &Wire) -> Origin {
    let content_type = wire
        .get(CONTENT_TYPE.as_str())
        .and_then(|list| list.values.first());
    match content_type {
        Some(value) if value.starts_with("application/grpc") => Origin::Grpc,
        _ => Origin::Http,
    }
}

/// Pseudo headers of HTTP/2 reach applications under a prefix.
fn header_name(wire: &str) -> Option<HeaderName> {
    match wire.strip_prefix(':') {
        Some(pseudo) => HeaderName::try_from(format!("dapr-{pseudo}")).ok(),
        None => HeaderName::from_bytes(wire.as_bytes()).ok(),
    }
}

fn wire_name(name: &HeaderName, origin: Origin) -> String {
    let set_by_sidecars = [&DESTINATION, &CALLER_NAMESPACE, &CALLER_ID, &CALLEE_ID].contains(&name);
    if origin == Origin::Grpc || set_by_sidecars {
        return name.as_str().to_owned();
    }
    canonical(name.as_str())
}

/// `content-type` as `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let capitalise = |character: char| {
        let written = if upper {
            character.to_ascii_uppercase()
        } else {
            character
        };
        upper = character == '-';
        written
    };
    name.chars().map(capitalise).collect()
}

/// What an HTTP client or application gets of another sidecar's headers: nothing of the connection,
/// nothing binary, and `grpc-…` under a prefix. Type and length are set with the body.
pub fn to_http(mut headers: HeaderMap) -> HeaderMap {
    strip_hop_by_hop(&mut headers);
    for name in [CONTENT_TYPE, CONTENT_LENGTH, HOST, DESTINATION] {
        headers.remove(name);
    }
    let reserved =
        |name: &&HeaderName| name.as_str().starts_with("grpc-") || name.as_str().ends_with("-bin");
    let reserved: Vec<HeaderName> = headers.keys().filter(reserved).cloned().collect();
    for name in reserved {
        let values: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        let Some(renamed) = prefixed(&name) else {
            continue;
        };
        for value in values {
            headers.append(renamed.clone(), value);
        }
    }
    headers
}

fn prefixed(name: &HeaderName) -> Option<HeaderName> {
    if name.as_str().ends_with("-bin") {
        return None;
    }
    HeaderName::try_from(format!("dapr-{name}")).ok()
}

/// What a gRPC application or client gets as metadata: headers that mean something to HTTP stand under
/// a prefix when the call entered over HTTP.
pub fn to_metadata(mut headers: HeaderMap, origin: Origin) -> HeaderMap {
    for name in [DESTINATION, HOST, CONTENT_LENGTH] {
        headers.remove(name);
    }
    if origin == Origin::Grpc {
        headers.remove(CONTENT_TYPE);
        strip_hop_by_hop(&mut headers);
        return headers;
    }
    let standard: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_standard(name))
        .cloned()
        .collect();
    for name in standard {
        let values: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        let Some(renamed) = prefixed(&name) else {
            continue;
        };
        for value in values {
            headers.append(renamed.clone(), value);
        }
    }
    strip_hop_by_hop(&mut headers);
    headers
}

fn is_standard(name: &HeaderName) -> bool {
    const STANDARD: [&str; 26] = [
        "accept",
        "accept-charset",
        "accept-language",
        "accept-ranges",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "cache-control",
        "content-type",
        "content-length",
        "cookie",
        "date",
        "expect",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-schedule-tag-match",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "referer",
    ];
    STANDARD.contains(&name.as_str()) || matches!(name.as_str(), "via" | "warning")
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.insert(name, value(text));
}

/// App ids, namespaces and host names are visible ASCII; anything else is dropped rather than sent.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
