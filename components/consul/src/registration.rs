//! The service that stands for this sidecar.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use trilby_components::name_resolution::Instance;

/// Time between two looks of Consul's at the sidecar's health, as upstream has it.
const CHECK_INTERVAL: &str = "15s";

/// A service in the words of Consul's API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    /// What identifies it at its agent.
    pub(crate) id: String,
    /// The name others look for.
    pub(crate) name: String,
    /// The whole.
    pub(crate) service: Value,
}

impl Registration {
    /// `service`, with the port for other sidecars in its metadata.
    ///
    /// # Errors
    /// It has no name.
    pub(crate) fn new(
        mut service: Map<String, Value>,
        port_key: &str,
        port: u16,
    ) -> Result<Self, String> {
        let text = |name: &str| service.get(name).and_then(Value::as_str);
        let name = text("Name").filter(|name| !name.is_empty());
        let name = name
            .ok_or("advancedRegistration.name is needed")?
            .to_owned();
        // Consul takes the name where there is no id.
        let id = text("ID").filter(|id| !id.is_empty()).unwrap_or(&name);
        let id = id.to_owned();
        let meta = service.entry("Meta").or_insert_with(|| json!({}));
        meta[port_key] = Value::from(port.to_string());
        Ok(Self {
            id,
            name,
            service: Value::Object(service),
        })
    }

    /// The service of `instance` as upstream registers it; without checks of the user's own, its health API is
    /// looked at.
    ///
    /// # Errors
    /// The instance has no host.
    pub(crate) fn of(instance: &Instance, checks: &[Value]) -> Result<Map<String, Value>, String> {
        let Instance {
            app_id,
            host,
            http_port,
            ..
        } = instance;
        if host.is_empty() {
            return Err("the address of this sidecar is not known".to_owned());
        }
        let id = format!("{app_id}-{host}-{http_port}");
        let checks = if checks.is_empty() {
            let authority = authority(host, *http_port);
            vec![json!({
                "Name": "Dapr Health Status",
                "CheckID": format!("daprHealth:{id}"),
                "Interval": CHECK_INTERVAL,
                "HTTP": format!("http://{authority}/v1.0/healthz?appid={app_id}"),
            })]
        } else {
            checks.to_vec()
        };
        let service = json!({
            "ID": id, "Name": app_id, "Address": host, "Port": instance.app_port.unwrap_or(0), "Checks": checks,
        });
        match service {
            Value::Object(service) => Ok(service),
            _ => unreachable!("an object was written"),
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(crate) fn authority(host: &str, port: impl std::fmt::Display) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}
