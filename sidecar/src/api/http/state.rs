//! The state API over HTTP.

mod body;
mod query;

use std::collections::{BTreeMap, HashMap};

use axum::body::Body;
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use trilby_components::state::{
    DeleteRequest, GetRequest, Item, Operation, SetRequest, StateError, Ttl, WriteOptions,
};

use super::HttpApi;
use super::any_case::AnyCase;
use super::escape::QueryString;
use super::respond::{HttpResponse, data, empty, failed, json, with_metadata};
use super::route::StateRoute;
use super::service::body_of;
use crate::blocks::state::{
    BulkEntry, Failed, Store, etag_aware, transaction_failed, unknown_operation,
};
use crate::error::ApiError;
use body::{BulkGetBody, ItemBody, OperationBody, OptionsBody, TransactionBody};

/// Metadata that query parameters give to every item of a request.
type Metadata = HashMap<String, String>;

pub(super) async fn serve(
    api: &HttpApi,
    route: StateRoute,
    request: Request<Body>,
) -> HttpResponse {
    let (head, body) = request.into_parts();
    let answered = match route {
        StateRoute::Get { store, key } => get(api, (&store, key), &head).await,
        StateRoute::Delete { store, key } => delete(api, (&store, key), &head).await,
        StateRoute::Save { store } => save(api, &store, (&head, body)).await,
        StateRoute::BulkGet { store } => bulk_get(api, &store, (&head, body)).await,
        StateRoute::Transaction { store } => transact(api, &store, (&head, body)).await,
        StateRoute::Query { store } => query::query(api, &store, (&head, body)).await,
    };
    answered.unwrap_or_else(|error| failed(&error))
}

async fn get(
    api: &HttpApi,
    (store, key): (&str, String),
    head: &Parts,
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    let query = QueryString::new(head.uri.query());
    // Upstream's stores ignore a consistency that they do not know.
    let consistency = query
        .get("consistency")
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let metadata = query.metadata().into_iter().collect();
    let read = GetRequest {
        consistency,
        metadata,
        ..GetRequest::new(key)
    };
    Ok(store
        .get(read)
        .await?
        .map_or_else(empty, |item| respond_item(&item)))
}

fn respond_item(item: &Item) -> HttpResponse {
    let mut response = data(StatusCode::OK, item.value.clone());
    if let Some(etag) = item
        .etag
        .as_deref()
        .and_then(|etag| HeaderValue::from_str(etag).ok())
    {
        response.headers_mut().insert(ETAG, etag);
    }
    let expires = item.ttl_expire_time();
    with_metadata(
        response,
        expires.as_deref().map(|time| ("ttlExpireTime", time)),
    )
}

async fn delete(
    api: &HttpApi,
    (store, key): (&str, String),
    head: &Parts,
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    let query = QueryString::new(head.uri.query());
    let text = |name| query.get(name).unwrap_or_default();
    let options = parse_options(&text("concurrency"), &text("consistency"))
        .map_err(|failure| etag_aware(&Failed::Delete { key: &key }, &failure))?;
    let etag = etag_of(&head.headers);
    store
        .delete(DeleteRequest {
            key,
            etag,
            options,
            metadata: query.metadata().into_iter().collect(),
        })
        .await?;
    Ok(empty())
}

/// A header that is there but empty is an etag, too.
fn etag_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get(IF_MATCH)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn parse_options(concurrency: &str, consistency: &str) -> Result<WriteOptions, StateError> {
    Ok(WriteOptions {
        concurrency: concurrency.parse()?,
        consistency: consistency.parse()?,
    })
}

async fn save(
    api: &HttpApi,
    store: &str,
    (head, body): (&Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    let shared = QueryString::new(head.uri.query()).metadata();
    let body = body_of(api, body)
        .await
        .map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    let items: Option<Vec<AnyCase<ItemBody>>> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    let writes: Result<Vec<_>, ApiError> = items
        .unwrap_or_default()
        .into_iter()
        .map(|AnyCase(item)| saved(&store, item, &shared))
        .collect();
    store.set(writes?).await?;
    Ok(empty())
}

fn saved(store: &Store, item: ItemBody, shared: &Metadata) -> Result<SetRequest, ApiError> {
    if item.key.is_none() {
        return Err(ApiError::malformed_verbatim("\"key\" is a required field"));
    }
    let name = store.name();
    let failed = |failure: &StateError| etag_aware(&Failed::Save { store: name }, failure);
    upsert((store, failed), item, shared)
}

/// The write that an item asks for; `failed` is what one that cannot be asked for is answered with.
fn upsert(
    (store, failed): (&Store, impl Fn(&StateError) -> ApiError),
    item: ItemBody,
    shared: &Metadata,
) -> Result<SetRequest, ApiError> {
    let value = store.document(item.value.as_deref());
    let value = value.map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    let metadata = joined(item.metadata, shared);
    let options = item.options.map(|AnyCase(options)| options);
    Ok(SetRequest {
        key: item.key.unwrap_or_default(),
        value,
        etag: item.etag,
        options: options_of(options).map_err(|failure| failed(&failure))?,
        ttl: Ttl::from_metadata(&metadata).map_err(|failure| failed(&failure))?,
        metadata,
    })
}

fn options_of(options: Option<OptionsBody>) -> Result<WriteOptions, StateError> {
    let OptionsBody {
        concurrency,
        consistency,
    } = options.unwrap_or_default();
    parse_options(
        &concurrency.unwrap_or_default(),
        &consistency.unwrap_or_default(),
    )
}

fn joined(own: Option<Metadata>, shared: &Metadata) -> BTreeMap<String, String> {
    let mut metadata: BTreeMap<_, _> = own.unwrap_or_default().into_iter().collect();
    metadata.extend(
        shared
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    metadata
}

#[derive(Debug, Serialize)]
struct BulkGetEntry {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn bulk_get(
    api: &HttpApi,
    store: &str,
    (head, body): (&Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    let shared = QueryString::new(head.uri.query()).metadata();
    let AnyCase(body): AnyCase<BulkGetBody> = decode(api, body).await?;
    let metadata = joined(body.metadata, &shared);
    let read = |key| GetRequest {
        metadata: metadata.clone(),
        ..GetRequest::new(key)
    };
    let keys = body.keys.unwrap_or_default();
    let reads = keys.into_iter().map(read).collect();
    let parallelism = body.parallelism.unwrap_or_default();
    let entries = store
        .bulk_get(reads, usize::try_from(parallelism).ok())
        .await?;
    let entries = entries.into_iter();
    let entries: Vec<_> = entries.map(|entry| bulk_entry(&store, entry)).collect();
    Ok(json(&entries))
}

/// A stored value inside of a JSON answer; the inner error where it is no JSON.
fn raw_json(value: &[u8]) -> Result<Box<RawValue>, String> {
    let text = String::from_utf8(value.to_vec()).ok();
    text.and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(|| "the stored value is no JSON; read it by its key".to_owned())
}

/// Where values are encrypted, a string is stored as its text.
fn bulk_data(store: &Store, value: &[u8]) -> Result<Box<RawValue>, String> {
    raw_json(value).or_else(|why| match std::str::from_utf8(value) {
        Ok(text) if store.encrypts() => to_raw_value(text).map_err(|error| error.to_string()),
        Ok(_) | Err(_) => Err(why),
    })
}

fn bulk_entry(store: &Store, BulkEntry { key, result }: BulkEntry) -> BulkGetEntry {
    let nothing = |key, error| BulkGetEntry {
        key,
        data: None,
        etag: None,
        metadata: BTreeMap::new(),
        error,
    };
    match result {
        Ok(Some(item)) => {
            let data = match bulk_data(store, &item.value) {
                Ok(data) => data,
                Err(why) => return nothing(key, Some(why)),
            };
            let metadata = item
                .ttl_expire_time()
                .map(|time| ("ttlExpireTime", time))
                .into_iter()
                .collect();
            BulkGetEntry {
                data: Some(data),
                etag: item.etag,
                metadata,
                ..nothing(key, None)
            }
        }
        Ok(None) => nothing(key, None),
        Err(error) => nothing(key, Some(error)),
    }
}

async fn transact(
    api: &HttpApi,
    store: &str,
    (head, body): (&Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    store.transactional()?;
    let shared = QueryString::new(head.uri.query()).metadata();
    let AnyCase(body): AnyCase<TransactionBody> = decode(api, body).await?;
    let operations = body.operations.unwrap_or_default();
    if operations.is_empty() {
        return Ok(empty());
    }
    let steps: Result<Vec<_>, ApiError> = operations
        .into_iter()
        .map(|AnyCase(operation)| step(&store, operation, &shared))
        .collect();
    let mut metadata = body.metadata.unwrap_or_default();
    metadata.extend(shared);
    store.transact(steps?, metadata).await?;
    Ok(empty())
}

fn step(store: &Store, operation: OperationBody, shared: &Metadata) -> Result<Operation, ApiError> {
    let item = operation
        .request
        .map_or_else(ItemBody::default, |AnyCase(item)| item);
    match operation.operation.unwrap_or_default().as_str() {
        "upsert" => upsert((store, transaction_failed), item, shared).map(Operation::Upsert),
        "delete" => removal(item, shared).map(Operation::Delete),
        other => Err(unknown_operation(other)),
    }
}

fn removal(item: ItemBody, shared: &Metadata) -> Result<DeleteRequest, ApiError> {
    let options = options_of(item.options.map(|AnyCase(options)| options));
    Ok(DeleteRequest {
        key: item.key.unwrap_or_default(),
        etag: item.etag,
        options: options.map_err(|failure| transaction_failed(&failure))?,
        metadata: joined(item.metadata, shared),
    })
}

async fn decode<T: for<'de> Deserialize<'de>>(api: &HttpApi, body: Body) -> Result<T, ApiError> {
    let body = body_of(api, body).await.map_err(ApiError::malformed)?;
    serde_json::from_slice(&body).map_err(ApiError::malformed)
}
