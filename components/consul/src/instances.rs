//! The answer to a question for a service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use trilby_components::name_resolution::ResolveError;

use crate::registration::authority;

/// Addresses (`host:port`) of the sidecars of one application; never empty.
pub(crate) type Addresses = Arc<[String]>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    node: Node,
    service: Service,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default)]
    address: String,
    meta: Option<BTreeMap<String, String>>,
}

/// Reads the instances of `app_id`. Those without an address or a port are passed over as long as there are others.
///
/// # Errors
/// The answer is none, or there is nobody to be reached.
pub(crate) fn addresses(
    app_id: &str,
    port_key: &str,
    body: &[u8],
) -> Result<Addresses, ResolveError> {
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|error| {
        ResolveError(format!("failed to query healthy consul services: {error}"))
    })?;
    let found: Addresses = entries
        .iter()
        .filter_map(|entry| entry.address(port_key))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if entries.iter().any(|entry| entry.port(port_key).is_none()) {
        return Err(ResolveError(format!(
            "target service AppID '{app_id}' found but {port_key} missing from meta"
        )));
    }
    Err(ResolveError(format!(
        "no healthy services found with AppID '{app_id}'"
    )))
}

impl Entry {
    fn port(&self, port_key: &str) -> Option<u16> {
        let meta = self.service.meta.as_ref()?;
        meta.get(port_key)?.parse().ok()
    }

    fn address(&self, port_key: &str) -> Option<String> {
        let port = self.port(port_key)?;
        let hosts = [&self.service.address, &self.node.address];
        let host = hosts.into_iter().find(|host| !host.is_empty())?;
        Some(authority(host, port))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::addresses;

    fn read(entries: &Value) -> Result<Vec<String>, String> {
        let read = addresses("app", "DAPR_PORT", entries.to_string().as_bytes());
        read.map(|found| found.to_vec()).map_err(|error| error.0)
    }

    fn entry(node: &str, service: &str, port: &str) -> Value {
        json!({ "Node": { "Address": node }, "Service": { "Address": service, "Meta": { "DAPR_PORT": port } } })
    }

    #[test]
    fn the_services_address_comes_before_the_nodes() {
        let entries = json!([
            entry("10.0.0.1", "10.0.0.2", "50002"),
            entry("10.0.0.1", "", "50002"),
            entry("::1", "", "50002"),
            entry("10.0.0.1", "host.example", "50002"),
        ]);
        let expected = [
            "10.0.0.2:50002",
            "10.0.0.1:50002",
            "[::1]:50002",
            "host.example:50002",
        ];
        assert_eq!(read(&entries).unwrap(), expected);
    }

    #[test]
    fn an_instance_without_port_hides_no_other() {
        let without = json!({ "Node": { "Address": "10.0.0.1" }, "Service": { "Address": "", "Meta": null } });
        let both = json!([without, entry("10.0.0.1", "", "50002")]);
        assert_eq!(read(&both).unwrap(), ["10.0.0.1:50002"]);
        let missing = "target service AppID 'app' found but DAPR_PORT missing from meta";
        assert_eq!(read(&json!([without])).unwrap_err(), missing);
        let no_number = json!([entry("10.0.0.1", "", "x")]);
        assert_eq!(read(&no_number).unwrap_err(), missing);
    }

    #[test]
    fn nobody_is_told_as_upstream_tells_it() {
        let nobody = "no healthy services found with AppID 'app'";
        assert_eq!(read(&json!([])).unwrap_err(), nobody);
        assert_eq!(read(&json!([entry("", "", "50002")])).unwrap_err(), nobody);
        let garbage = addresses("app", "DAPR_PORT", b"<html>").unwrap_err();
        assert!(
            garbage
                .0
                .starts_with("failed to query healthy consul services: "),
            "{garbage}"
        );
    }
}
