//! `state.redis`, in upstream's layouts: a hash at the key with `data`, `version` (counts writes from 1, and
//! is the etag) and, once written first-write, `first-write`; or, where the server has the JSON module and a request says
//! that it is about JSON, a document with these members. A plain string is read as a value without etag.
//!
//! Unlike upstream's, each request reads, guards and replaces what is there in either layout.
//!
//! Every write, single or transactional, is one script: it judges all etags, then applies everything with
//! its expiry, so a failure leaves nothing behind.

mod indexes;
mod keys;
mod layout;
mod query;
mod read;
mod script;
mod search;
mod settings;

use ::redis::RedisResult;
use async_trait::async_trait;
use tracing::warn;
use trilby_components::{
    RequestMetadata,
    metadata::{Metadata, MetadataError},
    registry::InitError,
    state::{
        Consistency, DeleteRequest, Feature, GetRequest, Item, KeyListing, KeyPage, KeysLike,
        Operation, QueryPage, QueryRequest, Queryable, SetRequest, StateError, StateStore,
        Transactional, Ttl,
    },
};

use crate::{
    config::Config,
    connection::{Connection, Place},
    greeting::{greet, has_json, replicas_at},
    link::{Link, Repeat},
};
use indexes::Index;
use layout::Documents;
use read::read;
use script::{Mode, Refusal, Terms, Writes};
pub(crate) use settings::Settings;

/// How long a strongly consistent write waits for the replicas, in milliseconds. Upstream's number.
const REPLICATION_TIMEOUT: u32 = 1_000;

/// Why there can be no queries.
const NO_MODULE: &str =
    "the server has no JSON documents, which queries look into: it lacks the module for them";

/// State in Redis.
pub struct RedisState {
    link: Link,
    /// Whom a strongly consistent write waits for: so many replicas that were connected when the store started, or, in a
    /// cluster, those that the server of the key has then.
    replicas: Option<u32>,
    terms: Terms,
    /// For queries.
    indexes: Vec<Index>,
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
        let link = Link::new(config);
        let indexes = settings.indexes(&link)?;
        if link.is_cluster() {
            warn!(
                "transactions over keys of several slots of a cluster are not atomic, as upstream's"
            );
        }
        let replicas = greet(&link).await?;
        let documents = match has_json(&link).await? {
            true => Documents::WhereAsked,
            false if indexes.is_empty() => Documents::Never,
            false => return Err(MetadataError::invalid("queryIndexes", NO_MODULE).into()),
        };
        for index in &indexes {
            index.make(&link).await?;
        }
        Ok(Self {
            link,
            replicas,
            indexes,
            terms: Terms {
                default_ttl: settings.ttl_in_seconds.map(Ttl::from_seconds),
                documents,
            },
        })
    }

    async fn apply(
        &self,
        operations: &[Operation],
        terms: Terms,
        consistency: Consistency,
    ) -> Result<(), StateError> {
        let writes = Writes::new(operations, terms)?;
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

#[async_trait]
impl StateStore for RedisState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let documents = self.terms.documents;
        let layout = documents.layout(&request.metadata);
        let command = |connection| read(&request.key, layout, documents, connection);
        self.link.run(Repeat::Safe, command).await
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        let consistency = request.options.consistency;
        let operations = [Operation::Upsert(request)];
        self.apply(&operations, self.terms, consistency).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        let consistency = request.options.consistency;
        let operations = [Operation::Delete(request)];
        self.apply(&operations, self.terms, consistency).await
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    /// Each query names its index; without any, there is nothing to ask.
    fn queryable(&self) -> Option<&dyn Queryable> {
        (!self.indexes.is_empty()).then_some(self as &dyn Queryable)
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
        metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        let terms = Terms {
            documents: self.terms.documents.of_transaction(metadata),
            ..self.terms
        };
        self.apply(&operations, terms, Consistency::Unspecified)
            .await
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

#[async_trait]
impl Queryable for RedisState {
    async fn query(&self, request: QueryRequest) -> Result<QueryPage, StateError> {
        self.matches(&request).await
    }
}
