//! The first words with a server.

use ::redis::{ErrorKind, RedisResult, ServerErrorKind};
use trilby_components::registry::InitError;

use crate::{
    connection::{Connection, Place},
    link::Link,
};

/// Connects, checks that the server talks to us, and counts its replicas; the servers of a cluster have each their own.
///
/// # Errors
/// [`InitError::Unavailable`] when the server is away or refuses the login.
pub(crate) async fn greet(link: &Link) -> Result<Option<u32>, InitError> {
    link.once(exchange).await.map_err(|error| {
        let address = link.address();
        InitError::Unavailable(format!(
            "redis store: error connecting to redis at {address}: {error}"
        ))
    })
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
