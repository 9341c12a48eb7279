//! Whether the server announces changes of keys, and how it is told to.

use std::collections::BTreeMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tracing::warn;

const SETTING: &str = "notify-keyspace-events";
/// What upstream asks for: channels of keys, for generic commands, strings, expiry and eviction.
const NEEDED: &str = "Kg$xe";
/// All kinds of events, in one letter.
const ALL: char = 'A';
/// Channels of keys; [`ALL`] has no part in it.
const KEYSPACE: char = 'K';

/// Has changes announced, beside what the server announces already. One that does not let us may have been told by
/// somebody else, so that this is said and no error.
pub(super) async fn announce(connection: &mut MultiplexedConnection) {
    if let Err(error) = try_announce(connection).await {
        warn!(
            %error,
            "CONFIG is not allowed on this Redis server: changes of configuration are seen only if its \
             {SETTING} is {NEEDED} or more, which its owner has to set"
        );
    }
}

async fn try_announce(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut get = ::redis::cmd("CONFIG");
    get.arg("GET").arg(SETTING);
    let now: BTreeMap<String, String> = get.query_async(connection).await?;
    let now = now.get(SETTING).map_or("", String::as_str);
    let Some(more) = with_needed(now) else {
        return Ok(());
    };
    let mut set = ::redis::cmd("CONFIG");
    set.arg("SET").arg(SETTING).arg(more);
    set.query_async(connection).await
}

/// What is announced already, and what is needed; none if nothing is missing.
fn with_needed(now: &str) -> Option<String> {
    let has = |flag: char| now.contains(flag) || (flag != KEYSPACE && now.contains(ALL));
    let missing: String = NEEDED.chars().filter(|flag| !has(*flag)).collect();
    (!missing.is_empty()).then(|| format!("{now}{missing}"))
}

/// Whether the user has no right to it.
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

#[cfg(test)]
mod tests {
    use super::with_needed;

    #[test]
    fn what_others_asked_for_stays() {
        for (now, then) in [
            ("", Some("Kg$xe")),
            ("Ex", Some("ExKg$e")),
            ("AE", Some("AEK")),
            ("AK", None),
            ("g$xeK", None),
        ] {
            assert_eq!(with_needed(now).as_deref(), then, "{now}");
        }
    }
}
