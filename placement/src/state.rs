//! The tables as `GET /placement/state` shows them.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use trilby_placement_protocol::server::Namespace;

use crate::wire::Report;

/// The current tables, shared between the hub and the health server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables(Arc<Mutex<Document>>);

#[derive(Debug, Default, Serialize)]
struct Document {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, TableView>,
}

#[derive(Debug, Serialize)]
struct TableView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostView>,
    #[serde(skip_serializing_if = "is_zero")]
    version: u64,
}

/// A host as it reported itself; what is empty or zero is left out.
#[derive(Debug, Serialize)]
struct HostView {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "is_zero")]
    port: i64,
    #[serde(skip_serializing_if = "is_zero")]
    load: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entities: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pod: String,
    #[serde(skip_serializing_if = "is_zero")]
    api_level: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "is_zero")]
    operation: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

// === impl Tables ===

impl Tables {
    /// Shows a namespace as it is now; an empty one not at all.
    pub(crate) fn publish(&self, name: &str, namespace: &Namespace<Report>) {
        let mut document = self.0.lock();
        if namespace.is_empty() {
            document.tables.remove(name);
            return;
        }
        let members = namespace.hosts().into_values();
        let hosts = members.map(|member| HostView::from(&member.payload));
        let view = TableView {
            hosts: hosts.collect(),
            version: namespace.version(),
        };
        document.tables.insert(name.to_owned(), view);
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.0.lock().tables.clear();
    }

    /// The whole document.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&*self.0.lock()).expect("maps with string keys are JSON")
    }
}

#[expect(deprecated, reason = "old sidecars fill these fields")]
impl From<&Report> for HostView {
    fn from(host: &Report) -> Self {
        Self {
            name: host.name.clone(),
            port: host.port,
            load: host.load,
            entities: host.entities.clone(),
            id: host.id.clone(),
            pod: host.pod.clone(),
            api_level: host.api_level,
            namespace: host.namespace.clone(),
            operation: host.operation,
            version: host.version,
        }
    }
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use trilby_placement_protocol::server::{Dialect, Event, Settings, StreamId};
    use trilby_proto::placement::v1::Host;

    use super::*;
    use crate::wire;

    #[test]
    fn empty_document_is_an_empty_object() {
        assert_eq!(Tables::default().json(), "{}");
    }

    #[test]
    fn namespaces_show_their_hosts_until_they_are_empty() {
        let settings = Settings {
            timeout: std::time::Duration::from_secs(8),
            straggler: std::time::Duration::from_secs(1),
            coalesce: std::time::Duration::ZERO,
            lease: std::time::Duration::from_secs(3),
        };
        let (stream, now) = (StreamId(1), Instant::now().into_std());
        let mut namespace = Namespace::new(settings, now);
        let tables = Tables::default();
        let host = Host {
            name: "10.0.0.1:50002".into(),
            entities: vec!["A".into()],
            id: "app".into(),
            namespace: "default".into(),
            operation: 1,
            ..Host::default()
        };
        namespace.step(
            Event::Joined {
                stream,
                member: wire::member(host),
                dialect: Dialect::Plain,
                returning: false,
            },
            now,
        );
        tables.publish("default", &namespace);
        assert_eq!(
            tables.json(),
            r#"{"tables":{"default":{"hosts":[{"name":"10.0.0.1:50002","entities":["A"],"id":"app","namespace":"default","operation":1}],"version":1}}}"#
        );
        namespace.step(Event::Closed { stream }, now);
        tables.publish("default", &namespace);
        assert_eq!(tables.json(), "{}");
    }
}
