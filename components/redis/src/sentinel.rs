//! Sentinels: servers that know which one is the master at the moment, and make another one if it is gone.
//!
//! They are asked each time a connection is made. When they make another server the master they cut the connections of the old
//! one, as soon as they can reach it, so nobody stays with it for longer than that.

use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection, from_redis_value,
};

use crate::config::Login;

/// How to find a master.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// Each sentinel, with its address for messages.
    pub(crate) sentinels: Vec<(String, Client)>,
    /// Which master.
    pub(crate) name: String,
    /// At the master.
    pub(crate) login: Login,
}

impl Sentinels {
    /// Connects to the master that the first sentinel names which knows it.
    pub(crate) async fn connect(
        &self,
        login: &Login,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut failures = Vec::new();
        for (address, sentinel) in &self.sentinels {
            match self.ask(sentinel, config).await {
                Ok(Some((host, port))) => {
                    let client = login.client(host, port)?;
                    let connection = client
                        .get_multiplexed_async_connection_with_config(config)
                        .await?;
                    return is_master(connection).await;
                }
                Ok(None) => failures.push(format!("{address} does not know it")),
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
        Err((
            ErrorKind::MasterNameNotFoundBySentinel,
            "no sentinel names a master",
            format!("{}: {}", self.name, failures.join("; ")),
        )
            .into())
    }

    async fn ask(
        &self,
        sentinel: &Client,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<Option<(String, u16)>> {
        let mut connection = sentinel
            .get_multiplexed_async_connection_with_config(config)
            .await?;
        let mut command = ::redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        command.query_async(&mut connection).await
    }
}

/// Sentinels that were cut off, or have not voted yet, name who was the master.
async fn is_master(mut connection: MultiplexedConnection) -> RedisResult<MultiplexedConnection> {
    let role: RedisResult<Vec<Value>> = ::redis::cmd("ROLE").query_async(&mut connection).await;
    let mut role = match role {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return Ok(connection);
        }
        other => other?,
    };
    let role: String = match role.is_empty() {
        true => String::new(),
        false => from_redis_value(role.swap_remove(0))?,
    };
    if role == "master" {
        return Ok(connection);
    }
    let error: RedisError = (
        ErrorKind::MasterNameNotFoundBySentinel,
        "who the sentinels name is no master",
        role,
    )
        .into();
    Err(error)
}
