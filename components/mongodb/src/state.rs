//! `state.mongodb`, in upstream's collection.
//!
//! A document is a value: `_id` is its key, `value` what was written, `_etag` a random text a write, `_ttl` when it goes
//! (the server's clock says so, and an index of its removes it). A write is one update under its guard, so neither value,
//! etag nor expiry is there without the others. Transactions are MongoDB's own: one that meets another begins anew,
//! until its limit, and one whose end nobody knows is told as that.
//!
//! Unlike upstream's, an etag never creates a key, a value that begins with `$` is no command, and what is written
//! first-write takes the place of what has expired.

mod listing;
mod query;
mod transaction;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{ClientOptions, IndexOptions};
use mongodb::{Client, ClientSession, Collection, IndexModel};
use tokio::time::timeout;
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_components::state::{
    BulkItem, DeleteRequest, Feature, GetRequest, Guard, Item, KeyListing, KeyPage, KeysLike,
    LastWrite, Operation, QueryPage, QueryRequest, Queryable, SetRequest, StateError, StateStore,
    Transactional,
};

use crate::failure::Failure;
use crate::settings::Config;
use crate::{value, write};
use write::{ETAG, TTL, VALUE};

/// As what this sidecar is known to the server.
const APP_NAME: &str = "dapr-1.18.0";
/// Two writers that create a document at once: how often the one that came second looks again.
const CREATIONS: u32 = 3;

/// State in a MongoDB collection.
#[derive(Debug)]
pub struct MongoState {
    client: Client,
    collection: Collection<Document>,
    /// Where the servers are, for messages.
    address: String,
    /// Whether there are transactions: the connection string names a replica set.
    transactions: bool,
    limit: Duration,
}

impl MongoState {
    /// Connects, and makes the index that removes what has expired.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let config = Config::new(metadata)?;
        let options = ClientOptions::parse(&config.uri);
        let unavailable = |reason: String| {
            InitError::Unavailable(format!("MongoDB at {}: {reason}", config.address))
        };
        let options = timeout(config.timeout, options).await;
        let options = options.map_err(|_| unavailable(late(config.timeout)))?;
        let mut options =
            options.map_err(|error| InitError::Invalid(format!("MongoDB: {error}")))?;
        options.app_name = Some(match options.app_name.take() {
            Some(name) => format!("{APP_NAME}:{name}"),
            None => APP_NAME.to_owned(),
        });
        // Whoever waits has given up then.
        options
            .server_selection_timeout
            .get_or_insert(config.timeout);
        let transactions = options.repl_set_name.is_some();
        let client = Client::with_options(options)
            .map_err(|error| InitError::Invalid(format!("MongoDB: {error}")))?;
        let database = client.database(&config.database);
        let state = Self {
            collection: database
                .collection_with_options(&config.collection, config.options.clone()),
            client,
            transactions,
            limit: config.timeout,
            address: config.address.clone(),
        };
        match timeout(config.timeout, state.prepare()).await {
            Ok(Ok(())) => Ok(state),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(_) => Err(unavailable(late(config.timeout))),
        }
    }

    async fn prepare(&self) -> Result<(), mongodb::error::Error> {
        let at_once = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let index = IndexModel::builder().keys(doc! { TTL: 1 }).options(at_once);
        self.collection.create_index(index.build()).await.map(drop)
    }

    /// Within the limit, which cuts off whatever it is.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StateError> {
        match timeout(self.limit, work).await {
            Ok(outcome) => outcome.map_err(Failure::into_state),
            Err(_) => Err(StateError::Unavailable(format!(
                "MongoDB at {}: {}",
                self.address,
                late(self.limit)
            ))),
        }
    }

    async fn apply(&self, operation: &Operation) -> Result<(), StateError> {
        let guard = Guard::of(operation);
        let value = match operation {
            Operation::Upsert(set) => Some(write::single(set)),
            Operation::Delete(_) => None,
        };
        let step = LastWrite { operation, guard };
        self.within(self.carry_out(&step, value, &mut None)).await
    }

    /// One key's part; `value` where it is to have one.
    async fn carry_out(
        &self,
        step: &LastWrite<'_, Guard<'_>>,
        value: Option<Bson>,
        session: &mut Option<ClientSession>,
    ) -> Result<(), Failure> {
        let key = step.operation.key();
        let (Operation::Upsert(set), Some(value)) = (step.operation, value) else {
            return self.remove(key, step.guard, session).await;
        };
        let update = write::update(value, set.ttl);
        match step.guard {
            Guard::None => self.put(key, update, session).await,
            Guard::Etag(etag) => {
                let updated = self.update(write::current(key, etag), update, false, session);
                match updated.await? {
                    0 => Err(mismatch(key, "it is not there, or has another etag")),
                    _ => Ok(()),
                }
            }
            Guard::Absent => {
                let taken = self.update(write::over(key), update.clone(), false, session);
                if taken.await? > 0 {
                    return Ok(());
                }
                match self.update(write::absent(key), update, true, session).await {
                    Err(failure) if failure.is_duplicate() => {
                        Err(mismatch(key, "item already exists and no etag was passed"))
                    }
                    outcome => outcome.map(drop),
                }
            }
        }
    }

    /// Whoever else creates the document at once, the value is written.
    async fn put(
        &self,
        key: &str,
        update: Vec<Document>,
        session: &mut Option<ClientSession>,
    ) -> Result<(), Failure> {
        let mut attempts = 1;
        loop {
            match self
                .update(write::any(key), update.clone(), true, session)
                .await
            {
                // Within a transaction, that ended it.
                Err(failure)
                    if failure.is_duplicate() && session.is_none() && attempts < CREATIONS =>
                {
                    attempts += 1;
                }
                outcome => return outcome.map(drop),
            }
        }
    }

    /// How many documents there were.
    async fn update(
        &self,
        filter: Document,
        update: Vec<Document>,
        creates: bool,
        session: &mut Option<ClientSession>,
    ) -> Result<u64, Failure> {
        let action = self.collection.update_one(filter, update).upsert(creates);
        let updated = match session {
            Some(session) => action.session(session).await,
            None => action.await,
        };
        Ok(updated?.matched_count)
    }

    async fn remove(
        &self,
        key: &str,
        guard: Guard<'_>,
        session: &mut Option<ClientSession>,
    ) -> Result<(), Failure> {
        let filter = match guard {
            Guard::Etag(etag) => write::current(key, etag),
            Guard::None | Guard::Absent => write::any(key),
        };
        let action = self.collection.delete_one(filter);
        let removed = match session {
            Some(session) => action.session(session).await,
            None => action.await,
        };
        match (removed?.deleted_count, guard) {
            (0, Guard::Etag(_)) => Err(mismatch(key, "it is not there, or has another etag")),
            _ => Ok(()),
        }
    }

    /// What there is of these keys.
    async fn find(
        &self,
        keys: &[&str],
    ) -> Result<HashMap<String, Result<Item, StateError>>, StateError> {
        let filter = match keys {
            [key] => write::living(key),
            keys => doc! { "$and": [{ "_id": { "$in": keys } }, write::lives()] },
        };
        self.within(async {
            let cursor = self.collection.find(filter).await?;
            let documents: Vec<Document> = cursor.try_collect().await?;
            let found = documents.iter().filter_map(|document| {
                let key = document.get_str("_id").ok()?;
                Some((key.to_owned(), item(key, document)))
            });
            Ok(found.collect())
        })
        .await
    }
}

fn late(limit: Duration) -> String {
    format!("it did not answer within {limit:?}")
}

fn mismatch(key: &str, reason: &str) -> Failure {
    StateError::EtagMismatch(format!("key {key}: {reason}")).into()
}

fn item(key: &str, document: &Document) -> Result<Item, StateError> {
    let value = document.get(VALUE).unwrap_or(&Bson::Null);
    let expiry = |moment: &DateTime| Timestamp::from_millisecond(moment.timestamp_millis()).ok();
    Ok(Item {
        value: value::bytes(key, value)?,
        etag: document.get_str(ETAG).ok().map(str::to_owned),
        expires_at: document.get_datetime(TTL).ok().and_then(expiry),
    })
}

#[async_trait]
impl StateStore for MongoState {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag, Feature::Ttl]
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let mut found = self.find(&[&request.key]).await?;
        found.remove(&request.key).transpose()
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.apply(&Operation::Upsert(request)).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.apply(&Operation::Delete(request)).await
    }

    /// One query.
    async fn bulk_get(&self, requests: Vec<GetRequest>, _parallelism: usize) -> Vec<BulkItem> {
        if requests.is_empty() {
            return Vec::new();
        }
        let keys: Vec<&str> = requests.iter().map(|one| one.key.as_str()).collect();
        let found = self.find(&keys).await;
        let answer = |request: GetRequest| BulkItem {
            result: match &found {
                Ok(found) => found.get(&request.key).cloned().transpose(),
                Err(error) => Err(error.clone()),
            },
            key: request.key,
        };
        requests.into_iter().map(answer).collect()
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        self.transactions.then_some(self as _)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        Some(self)
    }

    fn queryable(&self) -> Option<&dyn Queryable> {
        Some(self)
    }

    async fn close(&self) {
        self.client.clone().shutdown().immediate(true).await;
    }
}

#[async_trait]
impl Transactional for MongoState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        self.carry_out_together(&operations).await
    }
}

#[async_trait]
impl KeyListing for MongoState {
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError> {
        self.page(&request).await
    }
}

#[async_trait]
impl Queryable for MongoState {
    async fn query(&self, request: QueryRequest) -> Result<QueryPage, StateError> {
        self.matches(&request).await
    }
}
