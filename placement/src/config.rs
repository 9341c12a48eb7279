//! What the service is told, checked.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use tracing::warn;
use trilby_go_syntax::{GoDuration, truthy};
use trilby_placement_protocol::server::Settings;

use crate::{
    Args,
    leadership::{Cluster, ClusterError},
};

/// What both keep-alive settings may be.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);

/// Settings of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// All replicas, and which this one is.
    pub cluster: Cluster,
    /// The directory in which an election's number is kept; `None`: nowhere.
    pub kept_in: Option<PathBuf>,
    /// Address to listen on; empty for all.
    pub listen_address: String,
    /// Port to listen on.
    pub port: u16,
    /// Points of each host on the hash ring.
    pub replication_factor: u32,
    /// How often a silent sidecar is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// How they choose the one that leads.
    pub leader_election: LeaderElection,
    /// Namespace of the control plane.
    pub namespace: String,
    /// How rounds are run.
    pub rounds: Settings,
    /// What happens to a host that reports an address which it does not call from.
    pub address_check: AddressCheck,
    /// Whether the tables are served on the health port.
    pub serve_state: bool,
    /// Mutual TLS; `None` for plain text.
    pub tls: Option<TlsSettings>,
}

/// How several replicas choose the one that leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LeaderElection {
    /// By asking each other. A single replica has nobody to ask, and leads.
    Raft,
    /// By the Lease `placement.dapr.io` in the control plane's namespace.
    Lease,
}

/// What happens to a host that reports an address which it does not call from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AddressCheck {
    /// Nothing.
    Off,
    /// It is logged and counted.
    Warn,
    /// Its stream is refused as well.
    Refuse,
}

/// Where the identity comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `host:port` of sentry.
    pub sentry_address: String,
    /// Trust domain of the control plane.
    pub trust_domain: String,
    /// Namespace of the control plane.
    pub namespace: String,
    /// File with the trust anchors.
    pub anchors_file: PathBuf,
    /// `kubernetes` or `standalone`.
    pub mode: String,
}

/// What is read from the process's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NAMESPACE`: where this process runs.
    pub namespace: Option<String>,
    /// `DAPR_PLACEMENT_METADATA_ENABLED`.
    pub metadata_enabled: Option<String>,
}

/// Flags that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A keep-alive setting is out of range.
    #[error("invalid value for {flag}: value should be between 1s and 10s, got {value}")]
    Keepalive {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: GoDuration,
    },
    /// `--initial-cluster` cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Rounds would end before they begin.
    #[error("disseminate-timeout must be positive")]
    NoTimeout,
    /// Everybody would be a straggler.
    #[error("straggler-limit must be positive")]
    NoStragglerLimit,
    /// Rings without points own nothing.
    #[error("replicationFactor must be positive")]
    NoReplication,
}

// === impl Environment ===

impl Environment {
    /// Reads it.
    pub fn read() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            namespace: variable("NAMESPACE"),
            metadata_enabled: variable("DAPR_PLACEMENT_METADATA_ENABLED"),
        }
    }
}

// === impl Config ===

impl Config {
    /// Checks the flags. Those that do nothing are warned about.
    ///
    /// # Errors
    /// A flag's value cannot be used.
    pub fn new(args: Args, environment: Environment) -> Result<Self, ConfigError> {
        for flag in args.without_effect() {
            warn!("flag --{flag} has no effect");
        }
        let cluster = Cluster::parse(&args.id, &args.initial_cluster)?;
        check_positive(&args)?;
        let from_environment = || environment.metadata_enabled.as_deref().is_some_and(truthy);
        let namespace = environment.namespace.as_deref().unwrap_or("default");
        Ok(Self {
            replication_factor: args.replication_factor,
            keepalive_interval: keepalive("keepalive-time", args.keepalive_time)?,
            keepalive_timeout: keepalive("keepalive-timeout", args.keepalive_timeout)?,
            rounds: Settings {
                timeout: args.disseminate_timeout.0,
                straggler: args.straggler_limit.0,
                coalesce: args.disseminate_coalesce_window.0,
                lease: keepalive("keepalive-timeout", args.keepalive_timeout)?,
            },
            address_check: args.host_address_check,
            serve_state: args.metadata_enabled.unwrap_or_else(from_environment),
            tls: args.tls_enabled.then(|| TlsSettings::new(&args, namespace)),
            leader_election: args.leader_election,
            namespace: namespace.to_owned(),
            cluster,
            kept_in: kept_in(&args),
            listen_address: args.listen_address,
            port: args.port,
        })
    }
}

// === impl TlsSettings ===

impl TlsSettings {
    fn new(args: &Args, namespace: &str) -> Self {
        let sentry = || format!("dapr-sentry.{namespace}.svc:443");
        Self {
            sentry_address: args.sentry_address.clone().unwrap_or_else(sentry),
            trust_domain: args.trust_domain.clone(),
            anchors_file: PathBuf::from(&args.trust_anchors_file),
            mode: args.mode.clone(),
            namespace: namespace.to_owned(),
        }
    }
}

/// A path means that something is to be kept, unless the other flag objects.
fn kept_in(args: &Args) -> Option<PathBuf> {
    let path = args
        .raft_logstore_path
        .as_deref()
        .filter(|path| !path.is_empty());
    if path.is_none() && args.inmem_store_enabled == Some(false) {
        warn!("flag --inmem-store-enabled=false has no effect without --raft-logstore-path");
    }
    path.filter(|_| args.inmem_store_enabled != Some(true))
        .map(PathBuf::from)
}

fn check_positive(args: &Args) -> Result<(), ConfigError> {
    if args.disseminate_timeout.0.is_zero() {
        return Err(ConfigError::NoTimeout);
    }
    if args.straggler_limit.0.is_zero() {
        return Err(ConfigError::NoStragglerLimit);
    }
    if args.replication_factor == 0 {
        return Err(ConfigError::NoReplication);
    }
    Ok(())
}

fn keepalive(flag: &'static str, value: GoDuration) -> Result<Duration, ConfigError> {
    if KEEPALIVE.contains(&value.0) {
        Ok(value.0)
    } else {
        Err(ConfigError::Keepalive { flag, value })
    }
}

#[cfg(test)]
mod tests;
