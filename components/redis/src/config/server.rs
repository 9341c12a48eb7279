//! How the servers are arranged, and how to connect to that.

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisError, RedisResult,
    aio::MultiplexedConnection, cluster::ClusterClient,
};
use tokio::time::timeout;
use tracing::warn;
use trilby_components::{metadata::MetadataError, registry::InitError};

use super::{Login, Properties, addresses::Address, properties::Arrangement};
use crate::{cluster::ClusterLink, connection::Connection, sentinel::Sentinels};

/// Whom to connect to.
#[derive(Debug)]
pub(crate) enum Server {
    /// One server.
    Node {
        /// Where it is.
        at: Address,
        /// How to log in.
        login: Login,
    },
    /// The master of the moment.
    Sentinels(Sentinels),
    /// All servers of a cluster.
    Cluster {
        /// Finds them.
        client: Box<ClusterClient>,
        /// For finding them.
        limit: Option<Duration>,
    },
}

/// None is no limit.
pub(super) struct Limits {
    /// Of connecting to one server.
    pub(super) dial: Option<Duration>,
    /// Of one command at one server.
    pub(super) response: Option<Duration>,
}

impl Server {
    pub(super) fn new(
        properties: &Properties,
        addresses: Vec<Address>,
        limits: Limits,
    ) -> Result<Self, InitError> {
        let login = Login::at_servers(properties)?;
        match (properties.failover, properties.redis_type) {
            (false, Arrangement::Cluster) => Self::cluster(properties, addresses, &login, limits),
            (true, Arrangement::Node) => Self::sentinels(properties, addresses, login),
            (false, Arrangement::Node) => Self::node(addresses, login),
            (true, Arrangement::Cluster) => Err(InitError::Invalid(
                "redis store: failover with redisType: cluster: not there yet in this sidecar"
                    .into(),
            )),
        }
    }

    fn node(addresses: Vec<Address>, login: Login) -> Result<Self, InitError> {
        let [at] = <[Address; 1]>::try_from(addresses).map_err(|_| {
            let reason = "several addresses are for redisType: cluster, or failover: true";
            MetadataError::invalid("redisHost", reason)
        })?;
        login.client(at.0.clone(), at.1).map_err(invalid)?; // whether it can be used at all
        Ok(Self::Node { at, login })
    }

    fn sentinels(
        properties: &Properties,
        addresses: Vec<Address>,
        login: Login,
    ) -> Result<Self, InitError> {
        let Some(name) = properties
            .sentinel_master_name
            .clone()
            .filter(|name| !name.is_empty())
        else {
            return Err(MetadataError::Missing("sentinelMasterName".into()).into());
        };
        let at_sentinels = Login::at_sentinels(properties)?;
        let sentinels = addresses.into_iter().map(|(host, port)| {
            let address = format!("{host}:{port}");
            Ok((address, at_sentinels.client(host, port).map_err(invalid)?))
        });
        Ok(Self::Sentinels(Sentinels {
            sentinels: sentinels.collect::<Result<_, InitError>>()?,
            name,
            login,
        }))
    }

    fn cluster(
        properties: &Properties,
        addresses: Vec<Address>,
        login: &Login,
        limits: Limits,
    ) -> Result<Self, InitError> {
        if properties.redis_db != 0 {
            warn!("redisDB has no effect: a cluster has one database");
        }
        // Each address may take as long as it may, and then finding all servers from one of them.
        let attempts = u32::try_from(addresses.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let limit = limits.dial.map(|dial| dial.saturating_mul(attempts));
        let mut builder = login.cluster(addresses).map_err(invalid)?;
        builder = builder.retries(0).overall_response_timeout(None);
        if let Some(dial) = limits.dial {
            builder = builder.connection_timeout(dial);
        }
        if let Some(response) = limits.response {
            builder = builder.response_timeout(response);
        }
        let client = Box::new(builder.build().map_err(invalid)?);
        Ok(Self::Cluster { client, limit })
    }

    /// A new connection.
    pub(crate) async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<Connection> {
        match self {
            Self::Node { .. } | Self::Sentinels(_) => {
                self.connect_alone(None, config).await.map(Connection::Node)
            }
            Self::Cluster { client, limit } => {
                let connecting = client.get_async_connection();
                let connection = match limit {
                    Some(limit) => timeout(*limit, connecting).await.map_err(late)??,
                    None => connecting.await?,
                };
                Ok(Connection::Cluster(ClusterLink::new(connection)))
            }
        }
    }

    /// A new connection to one server, in this version of the protocol.
    pub(crate) async fn connect_alone(
        &self,
        protocol: Option<ProtocolVersion>,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let speaking = |login: &Login| match protocol {
            Some(protocol) => login.speaking(protocol),
            None => login.clone(),
        };
        match self {
            Self::Node { at, login } => {
                let client = speaking(login).client(at.0.clone(), at.1)?;
                client
                    .get_multiplexed_async_connection_with_config(config)
                    .await
            }
            Self::Sentinels(sentinels) => {
                let login = speaking(&sentinels.login);
                sentinels.connect(&login, config).await
            }
            Self::Cluster { .. } => {
                Err((ErrorKind::Client, "a cluster is more than one server").into())
            }
        }
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> i64 {
        match self {
            Self::Node { login, .. } => login.database(),
            Self::Sentinels(sentinels) => sentinels.login.database(),
            Self::Cluster { .. } => 0,
        }
    }

    /// Whether sentinels say which server it is.
    pub(crate) fn follows_a_master(&self) -> bool {
        matches!(self, Self::Sentinels(_))
    }

    /// Whether keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }
}

fn late(_: tokio::time::error::Elapsed) -> RedisError {
    (
        ErrorKind::Io,
        "the servers of the cluster could not be found in time",
    )
        .into()
}

fn invalid(error: RedisError) -> InitError {
    InitError::Invalid(format!("redis store: {error}"))
}
