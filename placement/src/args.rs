//! Flags, as upstream spells them.

use clap::Parser;
use trilby_bootstrap::{
    ServiceConfig,
    args::{HealthArgs, LogArgs, MetricsArgs, go_bool},
};
use trilby_go_syntax::GoDuration;

use crate::config::{AddressCheck, LeaderElection};

/// Keeps track of which sidecar hosts which actors
#[derive(Debug, Clone, Parser)]
#[command(name = "placement", disable_version_flag = true)]
pub struct Args {
    /// Name of this replica; must be one of --initial-cluster
    #[arg(long, default_value = "dapr-placement-0")]
    pub id: String,
    /// All replicas, as a comma-separated list of id=host:port
    #[arg(long, default_value = "dapr-placement-0=127.0.0.1:8201")]
    pub initial_cluster: String,
    /// How several replicas choose the one that leads: raft, among themselves, or lease, by a Kubernetes Lease
    #[arg(long, value_enum, default_value = "raft")]
    pub leader_election: LeaderElection,
    /// Port for sidecars
    #[arg(long, default_value_t = 50005)]
    pub port: u16,
    /// Address to listen on for sidecars; empty: all
    #[arg(long, default_value = "")]
    pub listen_address: String,
    /// Require mutual TLS of sidecars
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    pub tls_enabled: bool,
    /// Serve the tables at /placement/state of the health port (also: DAPR_PLACEMENT_METADATA_ENABLED)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool)]
    pub metadata_enabled: Option<bool>,
    /// Points that each host has on the hash ring
    #[arg(long = "replicationFactor", default_value_t = 100)]
    pub replication_factor: u32,
    /// How often a silent sidecar is asked whether it is there: 1s to 10s
    #[arg(long, default_value = "2s")]
    pub keepalive_time: GoDuration,
    /// How long it may take to answer: 1s to 10s
    #[arg(long, default_value = "3s")]
    pub keepalive_timeout: GoDuration,
    /// How long a sidecar may take to let go of the actors that a round takes from it
    #[arg(long, default_value = "8s")]
    pub disseminate_timeout: GoDuration,
    /// How long a sidecar may take to acknowledge an order of a round that leaves it nothing to do
    #[arg(long, default_value = "1s")]
    pub straggler_limit: GoDuration,
    /// What happens to a host that reports an address which it does not call from
    #[arg(long, value_enum, default_value = "warn")]
    pub host_address_check: AddressCheck,
    /// How long to gather changes after a round before the next one; 0: not at all
    #[arg(long, default_value = "0s")]
    pub disseminate_coalesce_window: GoDuration,
    /// Trust domain of the control plane
    #[arg(long, default_value = "localhost")]
    pub trust_domain: String,
    /// File with the trust anchors
    #[arg(long, default_value = "/var/run/secrets/dapr.io/tls/ca.crt")]
    pub trust_anchors_file: String,
    /// Address of sentry; by default `dapr-sentry.<NAMESPACE>.svc:443`
    #[arg(long)]
    pub sentry_address: Option<String>,
    /// Where this runs: kubernetes or standalone
    #[arg(long, default_value = "standalone")]
    pub mode: String,
    /// Keep nothing of elections on disk, even if --raft-logstore-path is given
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool)]
    pub inmem_store_enabled: Option<bool>,
    /// Directory in which the number of the last election is kept; tables are always kept in memory
    #[arg(long)]
    pub raft_logstore_path: Option<String>,
    /// No effect
    #[arg(long, hide = true, allow_negative_numbers = true)]
    pub max_api_level: Option<i64>,
    /// No effect
    #[arg(long, hide = true, allow_negative_numbers = true)]
    pub min_api_level: Option<i64>,
    /// Health server
    #[command(flatten)]
    pub health: HealthArgs,
    /// Metrics server
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// Log
    #[command(flatten)]
    pub log: LogArgs,
}

// === impl Args ===

impl Args {
    /// What the process around the service is like.
    pub fn service(&self) -> ServiceConfig {
        ServiceConfig {
            log: self.log.clone(),
            health: Some(self.health.clone()),
            metrics: Some(self.metrics.clone()),
            ..ServiceConfig::new("placement", self)
        }
    }

    /// The flags that were given although they do nothing.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static str> {
        [
            ("max-api-level", self.max_api_level.is_some()),
            ("min-api-level", self.min_api_level.is_some()),
        ]
        .into_iter()
        .filter_map(|(flag, given)| given.then_some(flag))
    }
}
