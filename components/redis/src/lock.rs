//! `lock.redis`, in upstream's layout: a string at the key, the owner, that expires with the lock.
//!
//! Taking a lock and its expiry are one command, comparing the owner and giving back are one script. Neither is sent
//! twice when its answer is lost: the second answer would not be that of the first. So that a restart of the server
//! between two requests is not seen all the same, a connection that was not used for a while is tried first.
//!
//! A lock is as safe as the one server that holds it. Replicas follow it later, and one that takes over may not know a
//! lock that was given: a server that has replicas is refused unless `failover` says that one wants that, as upstream refuses it.

use std::{sync::LazyLock, time::Duration};

use ::redis::{ErrorKind, RedisResult, Script, ServerErrorKind};
use async_trait::async_trait;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;
use trilby_components::{
    lock::{Claim, LockError, LockStore, Release},
    metadata::{Metadata, Schema},
    registry::InitError,
    state::StateError,
};

use crate::{
    config::Config,
    connection::Connection,
    greeting::greet,
    link::{Link, Repeat},
};

/// After this long without use a connection is tried before a lock is asked for over it: longer than the requests of a
/// busy application are apart, shorter than any server takes to restart.
const IDLE: Duration = Duration::from_millis(10);

static UNLOCK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lock/unlock.lua")));

/// The lock store has no settings beyond its connection; what else is given is reported as unknown.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {}

impl Schema for Settings {}

/// Locks in one Redis server.
pub struct RedisLock {
    link: Link,
    /// When the server answered last.
    heard: Mutex<Instant>,
}

impl RedisLock {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses the login, else what is wrong with the metadata or
    /// with the server.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        if metadata
            .get("redisType")
            .is_some_and(|value| value.eq_ignore_ascii_case("cluster"))
        {
            let reason = "this component does not support connecting to Redis Cluster";
            return Err(InitError::Invalid(reason.to_owned()));
        }
        let (config, rest) = Config::split(metadata)?;
        let Settings {} = rest.decode()?;
        let link = Link::new(config);
        match greet(&link).await? {
            // Whoever asks for failover knows that there are replicas.
            Some(replicas) if replicas > 0 && !link.follows_a_master() => {
                Err(InitError::Invalid(format!(
                    "replication is not supported: the server at {} has {replicas} replicas, which may not know a lock \
                     yet when they take over",
                    link.address()
                )))
            }
            _ => Ok(Self {
                link,
                heard: Mutex::new(Instant::now()),
            }),
        }
    }

    /// Runs `command` at most once, over a connection that works as far as anyone knows.
    async fn run<T, F, Fut>(&self, command: F) -> Result<T, LockError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = RedisResult<T>>,
    {
        if self.heard.lock().elapsed() > IDLE {
            let answer = self.link.run(Repeat::Safe, ping).await;
            answer.map_err(failed)?;
        }
        let answer = self.link.run(Repeat::Unsafe, command).await;
        if answer.is_ok() {
            *self.heard.lock() = Instant::now();
        }
        answer.map_err(failed)
    }
}

async fn ping(mut connection: Connection) -> RedisResult<()> {
    match ::redis::cmd("PING").query_async(&mut connection).await {
        // A user without this right hears that the server is there, too.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(()),
        other => other,
    }
}

async fn take(claim: Claim<'_>, mut connection: Connection) -> RedisResult<bool> {
    let mut set = ::redis::cmd("SET");
    set.arg(claim.resource).arg(claim.owner);
    set.arg("EX").arg(claim.life.as_secs().max(1)).arg("NX");
    let done: Option<String> = set.query_async(&mut connection).await?;
    Ok(done.is_some())
}

async fn give_back(
    (resource, owner): (&str, &str),
    mut connection: Connection,
) -> RedisResult<Release> {
    let mut invocation = UNLOCK.key(resource);
    let answer: i64 = invocation.arg(owner).invoke_async(&mut connection).await?;
    match answer {
        1 => Ok(Release::Done),
        0 => Ok(Release::Absent),
        -1 => Ok(Release::Foreign),
        other => Err((
            ErrorKind::UnexpectedReturnType,
            "not an answer of the script",
            other.to_string(),
        )
            .into()),
    }
}

fn failed(error: StateError) -> LockError {
    match error {
        StateError::Unavailable(reason) => LockError::Unavailable(reason),
        other => LockError::Store(other.to_string()),
    }
}

#[async_trait]
impl LockStore for RedisLock {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        self.run(|connection| take(claim, connection)).await
    }

    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError> {
        let names = (resource, owner);
        self.run(|connection| give_back(names, connection)).await
    }

    async fn close(&self) {
        self.link.close();
    }
}
