//! `state.redis`, in upstream's layout: a hash at the key with `data`, `version` (counts writes from 1, and
//! is the etag) and, once written first-write, `first-write`. A plain string is read as a value without
//! etag.
//!
//! Every write, single or transactional, is one script: it judges all etags, then applies everything with
//! its expiry, so a failure leaves nothing behind.

mod keys;
mod script;
mod settings;

use std::time::Duration;

use ::redis::{ErrorKind, RedisError, RedisResult};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tracing::warn;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    registry::InitError,
    state::{
        Consistency, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike,
        Operation, SetRequest, StateError, StateStore, Transactional, Ttl,
    },
};

use crate::{
    config::Config,
    connection::{Connection, Place},
    greeting::{greet, replicas_at},
    link::{Link, Repeat},
};
use script::{Mode, Refusal, Writes};
pub(crate) use settings::Settings;

/// How long a strongly consistent write waits for the replicas, in milliseconds. Upstream's number.
const REPLICATION_TIMEOUT: u32 = 1_000;

/// State in Redis.
pub struct RedisState {
    link: Link,
    /// Whom a strongly consistent write waits for: so many replicas that were connected when the store started, or, in a
    /// cluster, those that the server of the key has then.
    replicas: Option<u32>,
    /// For writes that bring none.
    default_ttl: Option<Ttl>,
}

impl RedisState {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses the login, else what is wrong with the
    /// metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (config, rest) = Config::split(metadata)?;
        let settings: Settings = rest.decode()?;
        settings.refuse_what_is_not_there_yet()?;
        let link = Link::new(config);
        if link.is_cluster() {
            warn!(
                "transactions over keys of several slots of a cluster are not atomic, as upstream's"
            );
        }
        let replicas = greet(&link).await?;
        Ok(Self {
            link,
            replicas,
            default_ttl: settings.ttl_in_seconds.map(Ttl::from_seconds),
        })
    }

    async fn apply(
        &self,
        operations: &[Operation],
        consistency: Consistency,
    ) -> Result<(), StateError> {
        let writes = Writes::new(operations, self.default_ttl)?;
        let groups = if self.link.is_cluster() {
            writes.by_slot()
        } else {
            vec![writes]
        };
        if groups.len() > 1 {
            for group in &groups {
                self.run(group, Mode::Judge, operations, consistency)
                    .await?;
            }
        }
        for (number, group) in groups.iter().enumerate() {
            let applied = self.run(group, Mode::Apply, operations, consistency).await;
            applied.map_err(|error| in_part(error, &groups[..number]))?;
        }
        Ok(())
    }

    /// Writes of one slot, if this is a cluster.
    async fn run(
        &self,
        writes: &Writes<'_>,
        mode: Mode,
        operations: &[Operation],
        consistency: Consistency,
    ) -> Result<(), StateError> {
        let strong = mode == Mode::Apply && consistency == Consistency::Strong;
        let replicas = if strong { self.replicas } else { Some(0) };
        let command = |connection| write(writes, mode, replicas, connection);
        match self.link.run(writes.repeat(), command).await? {
            None => Ok(()),
            Some(refusal) => Err(StateError::EtagMismatch(refusal.explain(operations))),
        }
    }
}

/// What became of a transaction over several slots.
fn in_part(error: StateError, applied: &[Writes<'_>]) -> StateError {
    if applied.is_empty() {
        return error;
    }
    let keys: Vec<String> = applied.iter().map(Writes::keys).collect();
    StateError::Store(format!(
        "the transaction was applied in part, to {}, for its keys are of several slots of the cluster: {error}",
        keys.join(", ")
    ))
}

/// Then waits for so many replicas, or for all that there are.
async fn write(
    writes: &Writes<'_>,
    mode: Mode,
    replicas: Option<u32>,
    mut connection: Connection,
) -> RedisResult<Option<Refusal>> {
    let refusal = writes.invoke(mode, &mut connection).await?;
    if refusal.is_none() {
        wait_for(replicas, writes.place(&connection), &mut connection).await?;
    }
    Ok(refusal)
}

async fn wait_for(
    replicas: Option<u32>,
    place: Place,
    connection: &mut Connection,
) -> RedisResult<()> {
    let replicas = match replicas {
        Some(replicas) => replicas,
        None => replicas_at(place, connection).await?,
    };
    if replicas == 0 {
        return Ok(());
    }
    let mut wait = ::redis::cmd("WAIT");
    wait.arg(replicas).arg(REPLICATION_TIMEOUT);
    let reached: u32 = connection.run_at(place, &wait).await?;
    if reached < replicas {
        warn!(
            replicas,
            reached, "a strongly consistent write did not reach every replica in time"
        );
    }
    Ok(())
}

type Read = ((Option<Bytes>, Option<String>), i64);

/// One exchange. The two commands are not atomic: a write in between can only make the expiry newer than
/// the value.
async fn read(key: &str, mut connection: Connection) -> RedisResult<Option<Item>> {
    let mut pipe = ::redis::pipe();
    pipe.cmd("HMGET").arg(key).arg("data").arg("version");
    pipe.cmd("PTTL").arg(key);
    let ((data, version), ttl): Read = match pipe.query_async(&mut connection).await {
        Err(error) if is_wrong_type(&error) => return read_string(key, connection).await,
        other => other?,
    };
    match (data, version) {
        (Some(value), Some(version)) => Ok(Some(item(value, Some(version), ttl))),
        (None, None) => Ok(None),
        _ => Err((
            ErrorKind::UnexpectedReturnType,
            "not a value of this store",
            format!("the hash at {key:?} lacks one of the fields data and version"),
        )
            .into()),
    }
}

/// A value that was written without Dapr, or by a very old one.
async fn read_string(key: &str, mut connection: Connection) -> RedisResult<Option<Item>> {
    let mut pipe = ::redis::pipe();
    pipe.cmd("GET").arg(key).cmd("PTTL").arg(key);
    let (value, ttl): (Option<Bytes>, i64) = pipe.query_async(&mut connection).await?;
    Ok(value.map(|value| item(value, None, ttl)))
}

fn is_wrong_type(error: &RedisError) -> bool {
    let errors = error.clone().into_server_errors();
    errors.is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "WRONGTYPE"))
}

/// `ttl` is in milliseconds; negative for none.
fn item(value: Bytes, etag: Option<String>, ttl: i64) -> Item {
    let left = u64::try_from(ttl).map(Duration::from_millis);
    Item {
        value,
        etag,
        expires_at: left
            .ok()
            .and_then(|left| Timestamp::now().checked_add(left).ok()),
    }
}

#[async_trait]
impl StateStore for RedisState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let command = |connection| read(&request.key, connection);
        self.link.run(Repeat::Safe, command).await
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        let consistency = request.options.consistency;
        self.apply(&[Operation::Upsert(request)], consistency).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        let consistency = request.options.consistency;
        self.apply(&[Operation::Delete(request)], consistency).await
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    async fn close(&self) {
        self.link.close();
    }
}

#[async_trait]
impl Transactional for RedisState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        self.apply(&operations, Consistency::Unspecified).await
    }
}

#[async_trait]
impl KeyListing for RedisState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        let glob = keys::glob(&request.pattern);
        let command = |connection| keys::scan(&glob, connection);
        let mut found = self.link.run(Repeat::Safe, command).await?;
        found.retain(|key| request.pattern.matches(key));
        Ok(request.page(found))
    }
}
