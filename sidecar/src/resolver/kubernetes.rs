//! By the DNS names that Kubernetes gives to the Services of Dapr applications.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::seq::IndexedRandom as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use trilby_components::name_resolution::{NameResolver, Query, ResolveError, decode};
use trilby_components::registry::InitError;

use super::Template;

/// How long addresses are remembered.
const REMEMBERED: Duration = Duration::from_secs(20);
/// How many applications are remembered; beyond that, expired ones make room.
const MOST_REMEMBERED: usize = 1024;
/// How long one DNS question may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// Upstream's default of `clusterDomain`.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The settings of the component.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    /// The cluster's DNS domain.
    cluster_domain: Option<String>,
    /// The address as a template over `ID`, `Namespace` and `Port`; replaces the usual name.
    template: Option<String>,
}

/// Asks DNS for `<app>-dapr.<namespace>.svc.<domain>`, picks one of its addresses.
#[derive(Debug)]
pub struct KubernetesResolver {
    cluster_domain: String,
    template: Option<Template>,
    known: Mutex<HashMap<(String, String), Known>>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

impl KubernetesResolver {
    /// From the component's settings.
    ///
    /// # Errors
    /// The settings are no object, or the template is not one that can be filled.
    pub fn new(settings: Value) -> Result<Self, InitError> {
        let settings: Settings = decode("kubernetes", settings)?;
        let template = settings.template.filter(|text| !text.is_empty());
        let template = template.map(|text| text.parse::<Template>()).transpose();
        let domain = settings.cluster_domain.filter(|text| !text.is_empty());
        Ok(Self {
            cluster_domain: domain.unwrap_or_else(|| CLUSTER_DOMAIN.to_owned()),
            template: template.map_err(|error| InitError::Invalid(error.to_string()))?,
            known: Mutex::default(),
        })
    }

    fn name(&self, query: &Query<'_>) -> String {
        match &self.template {
            Some(template) => template.fill(query),
            None => format!(
                "{}-dapr.{}.svc.{}:{}",
                query.app_id, query.namespace, self.cluster_domain, query.port
            ),
        }
    }

    fn remembered(&self, key: &(String, String)) -> Option<SocketAddr> {
        let known = self.known.lock();
        let entry = known
            .get(key)
            .filter(|entry| entry.until > Instant::now())?;
        entry.addresses.choose(&mut rand::rng()).copied()
    }

    fn remember(&self, key: (String, String), addresses: Vec<SocketAddr>) {
        let now = Instant::now();
        let mut known = self.known.lock();
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, entry| entry.until > now);
        }
        if known.len() < MOST_REMEMBERED {
            known.insert(
                key,
                Known {
                    addresses,
                    until: now + REMEMBERED,
                },
            );
        }
    }
}

#[async_trait]
impl NameResolver for KubernetesResolver {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        let key = (query.app_id.to_owned(), query.namespace.to_owned());
        if let Some(address) = self.remembered(&key) {
            return Ok(address.to_string());
        }
        let name = self.name(query);
        let lookup = tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host(&name)).await;
        let failed = |reason: String| ResolveError(format!("failed to resolve {name}: {reason}"));
        let found = lookup.map_err(|_| failed("DNS did not answer in time".to_owned()))?;
        let addresses: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
        let picked = addresses.choose(&mut rand::rng()).copied();
        let picked = picked.ok_or_else(|| failed("it has no address".to_owned()))?;
        self.remember(key, addresses);
        Ok(picked.to_string())
    }

    fn forget(&self, app_id: &str, namespace: &str) {
        self.known
            .lock()
            .remove(&(app_id.to_owned(), namespace.to_owned()));
    }
}
