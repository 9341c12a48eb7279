//! The DNS names that three services of the control plane get beside their identity.

use std::{fs, path::Path};

use trilby_identity::SpiffeId;

/// Replicas of the scheduler that have names of their own.
const SCHEDULERS: usize = 3;

/// Gives names to services, of which those of one namespace are the control plane's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsNames {
    pub(crate) namespace: String,
    /// The cluster's domain.
    pub(crate) cluster_domain: String,
}

impl DnsNames {
    /// The names for an identity; none for applications.
    pub(crate) fn of(&self, id: &SpiffeId) -> Vec<String> {
        let namespace = &self.namespace;
        if id.namespace() != namespace {
            return Vec::new();
        }
        match id.app_id() {
            "dapr-injector" => vec![format!("dapr-sidecar-injector.{namespace}.svc")],
            "dapr-operator" => vec![format!("dapr-webhook.{namespace}.svc")],
            "dapr-scheduler" => (0..SCHEDULERS).map(|n| self.scheduler(n)).collect(),
            _ => Vec::new(),
        }
    }

    fn scheduler(&self, replica: usize) -> String {
        let Self {
            namespace,
            cluster_domain,
        } = self;
        let service = "dapr-scheduler-server";
        format!("{service}-{replica}.{service}.{namespace}.svc.{cluster_domain}")
    }
}

/// The cluster's domain, as the kubelet wrote it into a pod's resolver configuration.
pub(crate) fn cluster_domain(resolv_conf: &Path) -> Option<String> {
    let text = fs::read_to_string(resolv_conf).ok()?;
    search_domain(&text)
}

fn search_domain(resolv_conf: &str) -> Option<String> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("search"))
        .flat_map(str::split_whitespace)
        .find_map(|domain| domain.strip_prefix("svc."))
        .map(|domain| domain.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_services_of_the_control_plane_have_names() {
        let names = DnsNames {
            namespace: "dapr-system".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
        };
        let of = |id: &str| names.of(&format!("spiffe://td/ns/{id}").parse().unwrap());
        assert_eq!(
            of("dapr-system/dapr-injector"),
            ["dapr-sidecar-injector.dapr-system.svc"]
        );
        assert_eq!(
            of("dapr-system/dapr-operator"),
            ["dapr-webhook.dapr-system.svc"]
        );
        assert_eq!(
            of("dapr-system/dapr-scheduler")[2],
            "dapr-scheduler-server-2.dapr-scheduler-server.dapr-system.svc.cluster.local"
        );
        assert_eq!(of("dapr-system/dapr-placement").len(), 0);
        assert_eq!(of("shop/dapr-injector").len(), 0);
    }

    #[test]
    fn the_cluster_domain_is_found_among_the_search_domains() {
        let text = "nameserver 10.0.0.10\nsearch a.svc.example.org svc.example.org example.org\n";
        assert_eq!(search_domain(text).unwrap(), "example.org");
        assert_eq!(search_domain("search home\n"), None);
        assert_eq!(search_domain(""), None);
    }
}
