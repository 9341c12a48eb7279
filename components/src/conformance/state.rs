//! What every state store owes its callers, judged by what it says it can do.

pub mod calls;
mod concurrency;
pub mod faults;
pub mod limits;
mod query;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::time::{self, Instant};

use crate::{
    RequestMetadata,
    state::{
        Concurrency, DeleteRequest, Feature, GetRequest, Item, KeyPrefix, KeysLike, LikePattern,
        Operation, SetRequest, StateError, StateStore, Ttl, Value,
    },
};

pub use concurrency::run_two;
pub use query::INDEXED_FIELDS;

/// How long a value with the shortest expiry may still be seen.
const EXPIRY_SLACK: Duration = Duration::from_secs(10);

/// Runs every rule on keys that start with `prefix`.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run(store: &dyn StateStore, prefix: &str) {
    Suite::new(store, prefix, Json::AsWritten).run().await;
}

/// As [`run`], on a store whose layout keeps JSON as documents: what comes back means the same, in its own words.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run_on_documents(store: &dyn StateStore, prefix: &str) {
    Suite::new(store, prefix, Json::SameMeaning).run().await;
}

/// As [`run_on_documents`], on a store that looks at the fields of an [index](INDEXED_FIELDS) only. Queries have this
/// metadata.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run_on_indexed_documents(
    store: &dyn StateStore,
    prefix: &str,
    metadata: &RequestMetadata,
) {
    let suite = Suite::new(store, prefix, Json::SameMeaning);
    let index = Some(metadata);
    Suite { index, ..suite }.run().await;
}

/// What a JSON value has in common with what was written.
#[derive(Debug, Clone, Copy)]
enum Json {
    AsWritten,
    SameMeaning,
}

struct Suite<'a> {
    store: &'a dyn StateStore,
    prefix: &'a str,
    json: Json,
    /// Metadata of queries, where only what is indexed may be asked for.
    index: Option<&'a RequestMetadata>,
}

fn binary(bytes: &'static [u8]) -> Value {
    Value::Binary(Bytes::from_static(bytes))
}

fn is_mismatch(result: &Result<(), StateError>) -> bool {
    matches!(result, Err(StateError::EtagMismatch(_)))
}

/// What a flat JSON object says: numbers with all their digits, which no number of the machine has.
fn meaning(bytes: &Bytes) -> BTreeMap<String, String> {
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(bytes).expect("it is a JSON object");
    let said = |value: Box<RawValue>| match serde_json::from_str::<String>(value.get()) {
        Ok(text) => text,
        Err(_) => value.get().to_owned(),
    };
    let fields = fields.into_iter();
    fields.map(|(name, value)| (name, said(value))).collect()
}

impl<'a> Suite<'a> {
    fn new(store: &'a dyn StateStore, prefix: &'a str, json: Json) -> Self {
        Self {
            store,
            prefix,
            json,
            index: None,
        }
    }

    async fn run(&self) {
        let (suite, store) = (self, self.store);
        suite.values_come_back_as_written().await;
        suite.absence_is_not_an_error().await;
        suite.bulk_calls_answer_in_order().await;
        if store.has(Feature::Etag) {
            suite.etags_guard_writes().await;
            suite.etags_guard_deletes().await;
            suite.first_write_without_etag_creates().await;
        }
        if store.has(Feature::Ttl) {
            suite.values_expire().await;
            suite.expiry_can_be_taken_back().await;
        }
        if store.transactional().is_some() {
            suite.transactions_apply_in_order().await;
            suite.transactions_are_all_or_nothing().await;
        }
        if store.prefix_deletion().is_some() {
            suite.prefixes_delete_what_is_right_below().await;
        }
        if store.key_listing().is_some() {
            suite.keys_are_listed_page_by_page().await;
        }
        if store.queryable().is_some() {
            suite.queries_find_documents().await;
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}||{name}", self.prefix)
    }

    async fn get(&self, name: &str) -> Option<Item> {
        let read = self.store.get(GetRequest::new(self.key(name))).await;
        read.expect("reads succeed")
    }

    async fn value(&self, name: &str) -> Option<Bytes> {
        self.get(name).await.map(|item| item.value)
    }

    async fn etag(&self, name: &str) -> String {
        let item = self.get(name).await.expect("the key was written");
        item.etag.expect("a store with etags returns one")
    }

    fn set(&self, name: &str, value: Value) -> SetRequest {
        SetRequest::new(self.key(name), value)
    }

    fn delete(&self, name: &str) -> DeleteRequest {
        DeleteRequest::new(self.key(name))
    }

    async fn write(&self, request: SetRequest) {
        self.store.set(request).await.expect("the write succeeds");
    }

    async fn transact(&self, operations: Vec<Operation>) -> Result<(), StateError> {
        let transactional = self.store.transactional().expect("checked by the caller");
        transactional
            .transact(operations, &RequestMetadata::new())
            .await
    }

    async fn values_come_back_as_written(&self) {
        let awkward = [
            binary(b""),
            binary(b"\x00\xff\r\n\xfe"),
            Value::Json(Bytes::from_static(
                br#"{"n":12345678901234567890,"s":"\u00e9"}"#,
            )),
        ];
        for value in awkward {
            self.write(self.set("value", value.clone())).await;
            let found = self.value("value").await.expect("the key was written");
            match (&value, self.json) {
                (Value::Json(_), Json::SameMeaning) => {
                    assert_eq!(meaning(&found), meaning(value.bytes()));
                }
                (Value::Json(_) | Value::Binary(_), _) => assert_eq!(&found, value.bytes()),
            }
        }
    }

    async fn absence_is_not_an_error(&self) {
        let deleted = self.store.delete(self.delete("absent")).await;
        deleted.expect("deleting nothing succeeds");
        assert_eq!(self.get("absent").await, None);
        self.write(self.set("gone", binary(b"1"))).await;
        let deleted = self.store.delete(self.delete("gone")).await;
        deleted.expect("deleting succeeds");
        assert_eq!(self.get("gone").await, None);
    }

    async fn bulk_calls_answer_in_order(&self) {
        let names = ["bulk-1", "bulk-2", "bulk-3"];
        let writes = names.map(|name| self.set(name, Value::Binary(name.into())));
        for result in self.store.bulk_set(writes.into()).await {
            result.expect("bulk writes succeed");
        }
        let reads: Vec<GetRequest> = ["bulk-3", "bulk-none", "bulk-1"]
            .map(|name| GetRequest::new(self.key(name)))
            .into();
        let answers = self.store.bulk_get(reads, 2).await;
        let values: Vec<Option<Bytes>> = answers
            .into_iter()
            .map(|answer| answer.result.expect("bulk reads succeed"))
            .map(|item| item.map(|item| item.value))
            .collect();
        assert_eq!(values, [Some("bulk-3".into()), None, Some("bulk-1".into())]);
        for result in self
            .store
            .bulk_delete(names.map(|name| self.delete(name)).into())
            .await
        {
            result.expect("bulk deletes succeed");
        }
        assert_eq!(self.get("bulk-1").await, None);
    }

    async fn etags_guard_writes(&self) {
        self.write(self.set("etag", binary(b"1"))).await;
        let first = self.etag("etag").await;
        let mut guarded = self.set("etag", binary(b"2"));
        guarded.etag = Some(first.clone());
        self.write(guarded.clone()).await;
        assert_ne!(
            self.etag("etag").await,
            first,
            "every write changes the etag"
        );
        let stale = self.store.set(guarded).await;
        assert!(is_mismatch(&stale), "a stale etag is a mismatch: {stale:?}");
        assert_eq!(self.value("etag").await.as_deref(), Some(&b"2"[..]));
        let mut empty = self.set("etag", binary(b"3"));
        empty.etag = Some(String::new());
        self.write(empty).await;
    }

    async fn etags_guard_deletes(&self) {
        self.write(self.set("etag-delete", binary(b"1"))).await;
        let mut delete = self.delete("etag-delete");
        delete.etag = Some(self.etag("etag-delete").await);
        self.write(self.set("etag-delete", binary(b"2"))).await;
        let stale = self.store.delete(delete.clone()).await;
        assert!(is_mismatch(&stale), "a stale etag is a mismatch: {stale:?}");
        delete.etag = Some(self.etag("etag-delete").await);
        let current = self.store.delete(delete).await;
        current.expect("the current etag deletes");
        assert_eq!(self.get("etag-delete").await, None);
    }

    /// Upstream's PostgreSQL stores take the conflict for a failure of their own.
    async fn first_write_without_etag_creates(&self) {
        let mut create = self.set("first", binary(b"1"));
        create.options.concurrency = Concurrency::FirstWrite;
        let cleared = self.store.delete(self.delete("first")).await;
        cleared.expect("deleting succeeds");
        self.write(create.clone()).await;
        let again = self.store.set(create.clone()).await;
        assert!(is_mismatch(&again), "it creates once: {again:?}");
        create.etag = Some(self.etag("first").await);
        self.write(create).await;
    }

    async fn values_expire(&self) {
        let mut short = self.set("short", binary(b"1"));
        short.ttl = Some(Ttl::After(Duration::from_secs(1)));
        let mut long = self.set("long", binary(b"1"));
        long.ttl = Some(Ttl::After(Duration::from_secs(1_000)));
        self.write(short).await;
        self.write(long).await;
        if let Some(expiry) = self.get("long").await.and_then(|item| item.expires_at) {
            let seconds = expiry.as_second() - Timestamp::now().as_second();
            assert!((990..=1_000).contains(&seconds), "expires in {seconds} s");
        }
        let deadline = Instant::now() + EXPIRY_SLACK;
        let mut poll = time::interval(Duration::from_millis(50));
        while self.get("short").await.is_some() {
            assert!(Instant::now() < deadline, "a value outlived its expiry");
            poll.tick().await;
        }
        assert!(self.get("long").await.is_some());
    }

    async fn expiry_can_be_taken_back(&self) {
        let mut request = self.set("kept", binary(b"1"));
        request.ttl = Some(Ttl::After(Duration::from_secs(1_000)));
        self.write(request.clone()).await;
        request.ttl = Some(Ttl::Never);
        self.write(request).await;
        let item = self.get("kept").await.expect("the key was written");
        assert_eq!(item.expires_at, None);
    }

    async fn transactions_apply_in_order(&self) {
        self.write(self.set("tx-old", binary(b"1"))).await;
        let done = self
            .transact(vec![
                Operation::Upsert(self.set("tx", binary(b"1"))),
                Operation::Upsert(self.set("tx", binary(b"2"))),
                Operation::Delete(self.delete("tx-old")),
                Operation::Upsert(self.set("tx-gone", binary(b"1"))),
                Operation::Delete(self.delete("tx-gone")),
            ])
            .await;
        done.expect("the transaction succeeds");
        assert_eq!(self.value("tx").await.as_deref(), Some(&b"2"[..]));
        assert_eq!(self.get("tx-old").await, None);
        assert_eq!(self.get("tx-gone").await, None);
        let nothing = self.transact(Vec::new()).await;
        nothing.expect("an empty transaction succeeds");
    }

    /// Upstream's Redis and etcd stores carry out what is not refused.
    async fn transactions_are_all_or_nothing(&self) {
        if !self.store.has(Feature::Etag) {
            return;
        }
        self.write(self.set("tx-guard", binary(b"1"))).await;
        let stale = self.etag("tx-guard").await;
        self.write(self.set("tx-guard", binary(b"2"))).await;
        self.write(self.set("tx-other", binary(b"before"))).await;
        let mut guarded = self.set("tx-guard", binary(b"3"));
        guarded.etag = Some(stale);
        let refused = self
            .transact(vec![
                Operation::Upsert(self.set("tx-other", binary(b"after"))),
                Operation::Upsert(guarded),
            ])
            .await;
        assert!(
            is_mismatch(&refused),
            "one stale etag refuses all: {refused:?}"
        );
        assert_eq!(
            self.value("tx-other").await.as_deref(),
            Some(&b"before"[..])
        );
        assert_eq!(self.value("tx-guard").await.as_deref(), Some(&b"2"[..]));
    }

    async fn prefixes_delete_what_is_right_below(&self) {
        for name in ["below||1", "below||2", "below||2||deeper", "beside"] {
            self.write(self.set(name, binary(b"1"))).await;
        }
        let deletion = self.store.prefix_deletion().expect("checked by the caller");
        let prefix = KeyPrefix::new(self.key("below")).expect("it names parts");
        assert_eq!(deletion.delete_with_prefix(&prefix).await, Ok(2));
        assert_eq!(deletion.delete_with_prefix(&prefix).await, Ok(0));
        assert_eq!(self.get("below||1").await, None);
        assert!(self.get("below||2||deeper").await.is_some());
        assert!(self.get("beside").await.is_some());
    }

    async fn keys_are_listed_page_by_page(&self) {
        let names = [
            "list-a*",
            "list-b?",
            "list-c[x]",
            r"list-d\",
            "list-e_f",
            "list-ß",
        ];
        for name in names.iter().chain(&["lost"]) {
            self.write(self.set(name, binary(b"1"))).await;
        }
        let mut expected = names.map(|name| self.key(name));
        expected.sort_unstable();
        assert_eq!(self.listed("list-%", Some(2)).await, expected);
        assert_eq!(self.listed("list-%", None).await, expected);
        assert_eq!(
            self.listed(r"list-_\_f", None).await,
            [self.key("list-e_f")]
        );
        assert_eq!(self.listed("list-_", None).await, [self.key("list-ß")]);
        for literal in ["list-a*", "list-b?", "list-c[x]", r"list-d\\"] {
            assert_eq!(self.listed(literal, None).await.len(), 1, "{literal}");
        }
        assert!(self.listed("list-", None).await.is_empty());
    }

    /// Every key like `pattern`, sorted; each page checked to hold no more than asked for.
    async fn listed(&self, pattern: &str, page_size: Option<u32>) -> Vec<String> {
        let listing = self.store.key_listing().expect("checked by the caller");
        let pattern = LikePattern::parse(&self.key(pattern)).expect("not empty");
        let mut request = KeysLike::new(pattern);
        request.page_size = page_size;
        let mut keys = Vec::new();
        loop {
            let page = listing.keys_like(request.clone()).await;
            let page = page.expect("keys can be listed");
            assert!(page_size.is_none_or(|size| page.keys.len() <= size as usize));
            keys.extend(page.keys);
            request.token = page.next;
            if request.token.is_none() {
                keys.sort_unstable();
                return keys;
            }
        }
    }
}
