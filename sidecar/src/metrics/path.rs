//! What metrics show of a path.
//!
//! With `increasedCardinality` it is the path without its keys and ids, else nothing; paths that the Configuration names
//! are shown as their pattern either way.

use std::borrow::Cow;

use super::pattern::normalize;
use super::settings::Settings;

/// Paths that are shown whatever the Configuration says.
const STATIC: [&str; 4] = [
    "/dapr/config",
    "/dapr/metrics",
    "/dapr/subscribe",
    "/healthz",
];

impl Settings {
    /// Writes the label of a path.
    pub(super) fn label_path(&self, path: &str, out: &mut String) {
        let path = decoded(path);
        let start = out.len();
        normalize(&path, out);
        if STATIC.contains(&&out[start..]) {
            return;
        }
        if !self.patterns.is_empty() {
            let mut found = self.patterns.find(&out[start..]);
            if found.is_none() && may_be_trimmed(&out[start..]) {
                let mut trimmed = String::new();
                trim(&out[start..], &mut trimmed);
                found = self.patterns.find(&trimmed).filter(|found| *found != "/");
            }
            if let Some(found) = found {
                out.truncate(start);
                out.push_str(found);
                return;
            }
        }
        if !self.each_path {
            out.truncate(start);
            return;
        }
        if may_be_trimmed(&out[start..]) {
            let path = out.split_off(start);
            trim(&path, out);
        }
    }
}

/// The path as people write it.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match behind {
            [high, low, ..] if *first == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(
                    u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"),
                );
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(path),
    }
}

/// Whether [`trim`] changes a path: it costs an allocation.
fn may_be_trimmed(path: &str) -> bool {
    let mut segments = path[1..].splitn(3, '/');
    let (first, second, third) = (segments.next(), segments.next(), segments.next());
    third.is_some()
        && (first == Some("actors")
            || matches!(second, Some("state" | "secrets" | "actors" | "workflows")))
}

/// Writes a path without the parts that are different each time, as upstream does it for these APIs.
fn trim(path: &str, out: &mut String) {
    let parts: Vec<&str> = path[1..].splitn(6, '/').collect();
    match parts.as_slice() {
        ["actors", kind, _, rest @ ..] => {
            // Without a slash in front, as upstream has it.
            out.push_str("actors/");
            join(out, &[kind, "{id}"]);
            rest.iter().for_each(|part| push(out, part));
        }
        [version, api @ ("state" | "secrets"), store, ..] => {
            join_rooted(out, &[version, api, store]);
        }
        [version, "actors", kind, _, operation, ..] => {
            join_rooted(out, &[version, "actors", kind, "{id}", operation]);
        }
        [version, "workflows", component, id, rest @ ..] => {
            trim_workflow(out, &[version, "workflows", component, id], rest);
        }
        _ => out.push_str(path),
    }
}

fn trim_workflow(out: &mut String, [version, api, component, name]: &[&str; 4], rest: &[&str]) {
    match rest {
        [start] if start.starts_with("start") => {
            join_rooted(out, &[version, api, component, name, "start"]);
        }
        ["raiseEvent", event] if !event.is_empty() => {
            join_rooted(
                out,
                &[
                    version,
                    api,
                    component,
                    "{instanceId}",
                    "raiseEvent",
                    "{eventName}",
                ],
            );
        }
        [] => join_rooted(out, &[version, api, component, "{instanceId}"]),
        [operation, ..] => {
            join_rooted(out, &[version, api, component, "{instanceId}", operation]);
        }
    }
}

fn join_rooted(out: &mut String, parts: &[&str]) {
    out.push('/');
    join(out, parts);
}

fn join(out: &mut String, parts: &[&str]) {
    if let Some((first, rest)) = parts.split_first() {
        out.push_str(first);
        rest.iter().for_each(|part| push(out, part));
    }
}

fn push(out: &mut String, part: &str) {
    out.push('/');
    out.push_str(part);
}

#[cfg(test)]
mod tests {
    use trilby_crds::ConfigurationSpec;

    use super::Settings;

    fn label(http: &str, path: &str) -> String {
        let json = format!(r#"{{"metrics":{{"http":{http}}}}}"#);
        let spec: ConfigurationSpec = serde_json::from_str(&json).unwrap();
        let mut out = String::new();
        Settings::new(&spec).unwrap().label_path(path, &mut out);
        out
    }

    #[test]
    fn keys_and_ids_are_taken_out_of_the_paths_of_upstreams_apis() {
        for (path, expected) in [
            ("/v1.0/state/store/cart", "/v1.0/state/store"),
            ("/v1.0/state/store", "/v1.0/state/store"),
            ("/v1.0/secrets/vault/password", "/v1.0/secrets/vault"),
            (
                "/v1.0/actors/Cat/17/method/feed",
                "/v1.0/actors/Cat/{id}/method",
            ),
            ("/v1.0/actors/Cat/17/state", "/v1.0/actors/Cat/{id}/state"),
            ("/v1.0/actors/Cat/17", "/v1.0/actors/Cat/17"),
            ("actors/Cat/17/method/feed", "actors/Cat/{id}/method/feed"),
            (
                "/v1.0/workflows/dapr/abc",
                "/v1.0/workflows/dapr/{instanceId}",
            ),
            (
                "/v1.0/workflows/dapr/Order/start",
                "/v1.0/workflows/dapr/Order/start",
            ),
            (
                "/v1.0/workflows/dapr/abc/pause",
                "/v1.0/workflows/dapr/{instanceId}/pause",
            ),
            (
                "/v1.0/workflows/dapr/abc/raiseEvent/paid",
                "/v1.0/workflows/dapr/{instanceId}/raiseEvent/{eventName}",
            ),
            (
                "/v1.0/invoke/shop/method/orders/17",
                "/v1.0/invoke/shop/method/orders/17",
            ),
            ("//v1.0//healthz", "/v1.0/healthz"),
            ("hi", "/hi"),
            ("/a%20b", "/a b"),
            ("/a%2", "/a%2"),
            ("", "/"),
        ] {
            assert_eq!(label("{}", path), expected, "{path}");
        }
    }

    #[test]
    fn low_cardinality_shows_nothing_but_what_is_named() {
        let low = r#"{"increasedCardinality":false,"pathMatching":["/orders/{id}","/v1.0/state/store/{key}"]}"#;
        for (path, expected) in [
            ("/v1.0/state/store/cart", "/v1.0/state/store/{key}"),
            ("/v1.0/state/other/cart", ""),
            (
                "/v1.0/invoke/shop/method/orders/17",
                "/v1.0/invoke/{app_id}/method/orders/{id}",
            ),
            (
                "//v1.0/invoke/shop/method/orders/17",
                "/v1.0/invoke/{app_id}/method/orders/{id}",
            ),
            ("orders/17", "/orders/{id}"),
            ("dapr/config", "/dapr/config"),
            ("/healthz", "/healthz"),
            ("/basket", ""),
        ] {
            assert_eq!(label(low, path), expected, "{path}");
        }
    }

    #[test]
    fn high_cardinality_shows_what_no_pattern_matches_as_it_is() {
        let high = r#"{"increasedCardinality":true,"pathMatching":["/orders/{id}"]}"#;
        assert_eq!(label(high, "/orders/17"), "/orders/{id}");
        assert_eq!(label(high, "/items/17"), "/items/17");
        assert_eq!(label(high, "/v1.0/state/store/cart"), "/v1.0/state/store");
    }

    #[test]
    fn a_pattern_is_shown_as_it_is_written() {
        let high = r#"{"increasedCardinality":true,"pathMatching":["/v1.0/state/store/{key}"]}"#;
        assert_eq!(
            label(high, "/v1.0/state/store/cart"),
            "/v1.0/state/store/{key}"
        );
    }
}
