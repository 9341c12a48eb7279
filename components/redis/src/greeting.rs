//! The first words with a server.

use ::redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use trilby_components::registry::InitError;

use crate::{
    connection::{Connection, Place},
    link::Link,
};

/// How a server says, behind its code, that there is no such command: it has no other way.
const UNKNOWN_COMMAND: &str = "unknown command";

/// Connects, checks that the server talks to us, and counts its replicas; the servers of a cluster have each their own.
///
/// # Errors
/// [`InitError::Unavailable`] when the server is away or refuses the login.
pub(crate) async fn greet(link: &Link) -> Result<Option<u32>, InitError> {
    let greeted = link.once(exchange).await;
    greeted.map_err(|error| unavailable(link, &error))
}

/// Whether the server has the JSON module. As upstream, one that refuses its command does have it.
///
/// # Errors
/// [`InitError::Unavailable`] when the server is away.
pub(crate) async fn has_json(link: &Link) -> Result<bool, InitError> {
    let asked = link.once(ask_for_json).await;
    asked.map_err(|error| unavailable(link, &error))
}

/// A command without its arguments: who knows it says that they are missing.
async fn ask_for_json(mut connection: Connection) -> RedisResult<bool> {
    let places = connection.places().await?;
    let Some(place) = places.first() else {
        return Ok(false);
    };
    let answer: RedisResult<()> = connection.run_at(*place, &::redis::cmd("JSON.GET")).await;
    match answer {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let detail = error.detail().unwrap_or_default();
                Ok(!detail.starts_with(UNKNOWN_COMMAND))
            }
            _ => Err(error),
        },
    }
}

fn unavailable(link: &Link, error: &RedisError) -> InitError {
    let address = link.address();
    InitError::Unavailable(format!(
        "redis store: error connecting to redis at {address}: {error}"
    ))
}

/// Neither right that this needs is one that a store itself needs, so a user without them is welcome.
async fn exchange(mut connection: Connection) -> RedisResult<Option<u32>> {
    let pong: RedisResult<()> = ::redis::cmd("PING").query_async(&mut connection).await;
    allow_forbidden(pong)?;
    match connection {
        Connection::Node(_) => replicas_at(Place::Only, &mut connection).await.map(Some),
        Connection::Cluster(_) => Ok(None),
    }
}

/// How many replicas follow a server.
pub(crate) async fn replicas_at(place: Place, connection: &mut Connection) -> RedisResult<u32> {
    let mut info = ::redis::cmd("INFO");
    let info: RedisResult<String> = connection.run_at(place, info.arg("replication")).await;
    Ok(connected_replicas(
        &allow_forbidden(info)?.unwrap_or_default(),
    ))
}

fn allow_forbidden<T>(result: RedisResult<T>) -> RedisResult<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(None),
        other => other.map(Some),
    }
}

fn connected_replicas(info: &str) -> u32 {
    info.lines()
        .find_map(|line| line.trim().strip_prefix("connected_slaves:"))
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::connected_replicas;

    #[test]
    fn replicas_are_counted_from_the_servers_own_report() {
        let report = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n";
        assert_eq!(connected_replicas(report), 2);
        assert_eq!(connected_replicas("role:slave\r\n"), 0);
        assert_eq!(connected_replicas(""), 0);
    }
}
