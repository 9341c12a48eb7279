//! The first words with a server.

use ::redis::{ErrorKind, RedisResult, ServerErrorKind, aio::MultiplexedConnection};
use trilby_components::registry::InitError;

use crate::link::Link;

/// Connects, checks that the server talks to us, and counts its replicas.
///
/// # Errors
/// [`InitError::Unavailable`] when the server is away or refuses the login.
pub(crate) async fn greet(link: &Link) -> Result<u32, InitError> {
    link.once(exchange).await.map_err(|error| {
        let address = link.address();
        InitError::Unavailable(format!(
            "redis store: error connecting to redis at {address}: {error}"
        ))
    })
}

/// Neither right that this needs is one that a store itself needs, so a user without them is welcome.
async fn exchange(mut connection: MultiplexedConnection) -> RedisResult<u32> {
    let pong: RedisResult<()> = ::redis::cmd("PING").query_async(&mut connection).await;
    allow_forbidden(pong)?;
    let mut info = ::redis::cmd("INFO");
    let info: RedisResult<String> = info.arg("replication").query_async(&mut connection).await;
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
