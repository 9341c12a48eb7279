//! The state API over HTTP.

use std::collections::{BTreeMap, HashMap};

use axum::body::Body;
use bytes::Bytes;
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trilby_components::state::{
    DeleteRequest, GetRequest, Item, Operation, SetRequest, StateError, Ttl, Value, WriteOptions,
};

use super::HttpApi;
use super::escape::QueryString;
use super::respond::{HttpResponse, data, empty, failed, json, with_metadata};
use super::route::StateRoute;
use super::service::body_of;
use crate::blocks::state::{
    BulkEntry, Failed, Store, canonical_json, etag_aware, unknown_operation,
};
use crate::error::ApiError;

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
        StateRoute::Query { store } => api
            .blocks
            .state
            .store(&store)
            .and_then(|store| Err(store.query())),
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

/// One item of a request body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ItemBody {
    key: String,
    value: Option<Box<RawValue>>,
    etag: Option<String>,
    metadata: Option<Metadata>,
    options: Option<OptionsBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OptionsBody {
    concurrency: String,
    consistency: String,
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
    let items: Vec<ItemBody> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    let writes: Result<Vec<_>, ApiError> = items
        .into_iter()
        .map(|item| upsert(&store, item, &shared))
        .collect();
    store.set(writes?).await?;
    Ok(empty())
}

fn upsert(store: &Store, item: ItemBody, shared: &Metadata) -> Result<SetRequest, ApiError> {
    if item.key.is_empty() {
        return Err(ApiError::malformed_verbatim("\"key\" is a required field"));
    }
    let save_failed = |failure: &StateError| {
        etag_aware(
            &Failed::Save {
                store: store.name(),
            },
            failure,
        )
    };
    let metadata = joined(item.metadata, shared);
    let options = item.options.unwrap_or_default();
    Ok(SetRequest {
        key: item.key,
        value: Value::Json(document(item.value.as_deref())?),
        etag: item.etag,
        options: parse_options(&options.concurrency, &options.consistency)
            .map_err(|failure| save_failed(&failure))?,
        ttl: Ttl::from_metadata(&metadata).map_err(|failure| save_failed(&failure))?,
        metadata,
    })
}

fn document(value: Option<&RawValue>) -> Result<Bytes, ApiError> {
    let Some(value) = value else {
        return Ok(Bytes::from_static(b"null"));
    };
    canonical_json(value.get().as_bytes())
        .map_err(|error| ApiError::malformed_verbatim(error.to_string()))
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BulkGetBody {
    keys: Vec<String>,
    parallelism: i64,
    metadata: Option<Metadata>,
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
    let body: BulkGetBody = decode(api, body).await?;
    let metadata = joined(body.metadata, &shared);
    let read = |key| GetRequest {
        metadata: metadata.clone(),
        ..GetRequest::new(key)
    };
    let reads = body.keys.into_iter().map(read).collect();
    let entries = store
        .bulk_get(reads, usize::try_from(body.parallelism).ok())
        .await?;
    Ok(json(
        &entries.into_iter().map(bulk_entry).collect::<Vec<_>>(),
    ))
}

fn bulk_entry(BulkEntry { key, result }: BulkEntry) -> BulkGetEntry {
    let nothing = |key, error| BulkGetEntry {
        key,
        data: None,
        etag: None,
        metadata: BTreeMap::new(),
        error,
    };
    match result {
        Ok(Some(item)) => {
            let text = String::from_utf8(item.value.to_vec()).ok();
            let Some(data) = text.and_then(|text| RawValue::from_string(text).ok()) else {
                return nothing(
                    key,
                    Some("the stored value is no JSON; read it by its key".to_owned()),
                );
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TransactionBody {
    operations: Vec<OperationBody>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OperationBody {
    operation: String,
    request: ItemBody,
}

async fn transact(
    api: &HttpApi,
    store: &str,
    (head, body): (&Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let store = api.blocks.state.store(store)?;
    store.transactional()?;
    let shared = QueryString::new(head.uri.query()).metadata();
    let body: TransactionBody = decode(api, body).await?;
    let steps: Result<Vec<_>, ApiError> = body
        .operations
        .into_iter()
        .map(|operation| step(&store, operation, &shared))
        .collect();
    let mut metadata = body.metadata.unwrap_or_default();
    metadata.extend(shared);
    store.transact(steps?, metadata).await?;
    Ok(empty())
}

fn step(store: &Store, operation: OperationBody, shared: &Metadata) -> Result<Operation, ApiError> {
    let item = operation.request;
    match operation.operation.as_str() {
        "upsert" => upsert(store, item, shared).map(Operation::Upsert),
        "delete" => removal(item, shared).map(Operation::Delete),
        other => Err(unknown_operation(other)),
    }
}

fn removal(item: ItemBody, shared: &Metadata) -> Result<DeleteRequest, ApiError> {
    let options = item.options.unwrap_or_default();
    let options = parse_options(&options.concurrency, &options.consistency)
        .map_err(|failure| etag_aware(&Failed::Delete { key: &item.key }, &failure))?;
    Ok(DeleteRequest {
        key: item.key,
        etag: item.etag,
        options,
        metadata: joined(item.metadata, shared),
    })
}

async fn decode<T: for<'de> Deserialize<'de>>(api: &HttpApi, body: Body) -> Result<T, ApiError> {
    let body = body_of(api, body).await.map_err(ApiError::malformed)?;
    serde_json::from_slice(&body).map_err(ApiError::malformed)
}
