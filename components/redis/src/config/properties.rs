//! The metadata that configures a Redis connection.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tracing::warn;
use trilby_components::{
    metadata::{Schema, value::Sensitive},
    registry::InitError,
};
use trilby_go_syntax::GoDuration;

use super::limit::Limit;

/// How the servers are arranged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arrangement {
    /// One server.
    #[default]
    Node,
    /// A Redis Cluster.
    Cluster,
}

/// Connection metadata of every Redis component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    /// `host` or `host:port`; several, with commas between them, of a cluster or of sentinels.
    pub(super) redis_host: String,
    /// The port, when `redisHost` names none.
    #[schemars(extend("default" = super::DEFAULT_PORT))]
    pub(super) redis_port: Option<u16>,
    /// The ACL user. Default: none, which is Redis' `default`.
    pub(super) redis_username: Option<String>,
    /// The password.
    pub(super) redis_password: Option<Sensitive>,
    /// The number of the database. A cluster has one only.
    #[serde(default, rename = "redisDB")]
    pub(super) redis_db: i64,
    /// `node` or `cluster`.
    #[serde(default)]
    #[schemars(extend("default" = "node"))]
    pub(super) redis_type: Arrangement,
    /// Whether `redisHost` names sentinels, which know the master.
    #[serde(default)]
    pub(super) failover: bool,
    /// The master that the sentinels watch.
    pub(super) sentinel_master_name: Option<String>,
    /// The user at the sentinels.
    pub(super) sentinel_username: Option<String>,
    /// The password at the sentinels.
    pub(super) sentinel_password: Option<Sensitive>,
    /// Whether to use TLS.
    #[serde(default, rename = "enableTLS")]
    pub(super) enable_tls: bool,
    /// Whether to take any server certificate.
    #[serde(default, rename = "insecureSkipTLSVerify")]
    pub(super) insecure_skip_tls_verify: bool,
    /// PEM of the certificate to show to the server.
    pub(super) client_cert: Option<Sensitive>,
    /// PEM of its key.
    pub(super) client_key: Option<Sensitive>,
    /// How often a command is tried again when its connection fails; -1 for never.
    #[schemars(extend("default" = super::MAX_RETRIES))]
    pub(super) redis_max_retries: Option<i32>,
    /// The first pause between two attempts, 8ms by default of pub/sub and bindings. `redisMaxRetryInterval` caps it.
    #[serde(default, deserialize_with = "Limit::non_zero")]
    #[schemars(extend("default" = written(super::MIN_RETRY_INTERVAL)))]
    pub(super) redis_min_retry_interval: Option<Limit>,
    /// The longest pause between two attempts.
    #[serde(default, deserialize_with = "Limit::non_zero")]
    #[schemars(extend("default" = written(super::MAX_RETRY_INTERVAL)))]
    pub(super) redis_max_retry_interval: Option<Limit>,
    /// An older spelling of `redisMinRetryInterval`, in nanoseconds.
    pub(super) max_retry_backoff: Option<u64>,
    /// Limit of connecting, login included.
    #[serde(default, deserialize_with = "Limit::non_zero")]
    #[schemars(extend("default" = written(super::DIAL_TIMEOUT)))]
    pub(super) dial_timeout: Option<Limit>,
    /// Limit of one command.
    #[serde(default, deserialize_with = "Limit::non_zero")]
    #[schemars(extend("default" = written(super::READ_TIMEOUT)))]
    pub(super) read_timeout: Option<Limit>,
    /// Limit of one command, when it is longer than `readTimeout`. Default: as `readTimeout`.
    #[serde(default, deserialize_with = "Limit::non_zero")]
    pub(super) write_timeout: Option<Limit>,
    /// Whether to log in with a Microsoft Entra ID token.
    #[serde(default, rename = "useEntraID")]
    #[schemars(extend("effect" = "refused"))]
    pub(super) use_entra_id: bool,
    /// Whether to log in with an OpenID Connect token.
    #[serde(default, rename = "useOIDC")]
    #[schemars(extend("effect" = "refused"))]
    pub(super) use_oidc: bool,

    // Settings of a connection pool. There is one multiplexed connection here, so they are accepted, and
    // said to have no effect.
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    pool_size: Option<String>,
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    pool_timeout: Option<String>,
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    max_conn_age: Option<String>,
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    min_idle_conns: Option<String>,
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    idle_timeout: Option<String>,
    /// A setting of a pool of connections; there is none.
    #[schemars(extend("effect" = "none"))]
    idle_check_frequency: Option<String>,
}

/// A length of time as users write it.
fn written(duration: Duration) -> String {
    GoDuration(duration).to_string()
}

impl Schema for Properties {
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("maxRetries", "redisMaxRetries"),
        ("useAzureAD", "useEntraID"),
    ];
}

impl Properties {
    pub(super) fn refuse_what_is_not_there_yet(&self) -> Result<(), InitError> {
        let missing = [
            ("Microsoft Entra ID (useEntraID)", self.use_entra_id),
            ("OpenID Connect (useOIDC)", self.use_oidc),
        ];
        match missing.into_iter().find(|(_, asked)| *asked) {
            Some((what, _)) => Err(InitError::Invalid(format!(
                "redis store: {what}: not there yet in this sidecar"
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn warn_of_what_has_no_effect(&self) {
        let sentinel = self.sentinel_master_name.is_some()
            || self.sentinel_username.is_some()
            || self.sentinel_password.is_some();
        if sentinel && !self.failover {
            warn!(
                "sentinelMasterName, sentinelUsername and sentinelPassword have no effect without failover"
            );
        }
        let properties: Vec<&str> = [
            ("poolSize", &self.pool_size),
            ("poolTimeout", &self.pool_timeout),
            ("maxConnAge", &self.max_conn_age),
            ("minIdleConns", &self.min_idle_conns),
            ("idleTimeout", &self.idle_timeout),
            ("idleCheckFrequency", &self.idle_check_frequency),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|_| name))
        .collect();
        if !properties.is_empty() {
            warn!(
                ?properties,
                "one connection carries all commands: settings of a pool have no effect"
            );
        }
    }
}
