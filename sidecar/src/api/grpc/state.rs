//! The state API over gRPC.

use std::collections::HashMap;

use tonic::Status;
use trilby_components::state::{
    Concurrency, Consistency, DeleteRequest, GetRequest, Item, Operation, SetRequest, StateError,
    Ttl, Value, WriteOptions,
};
use trilby_proto::common::v1::{Etag, StateItem, StateOptions};
use trilby_proto::runtime::v1::{
    BulkStateItem, DeleteBulkStateRequest, DeleteStateRequest, ExecuteStateTransactionRequest,
    GetBulkStateRequest, GetBulkStateResponse, GetStateRequest, GetStateResponse, QueryStateItem,
    QueryStateRequest, QueryStateResponse, SaveStateRequest, TransactionalStateOperation,
};

use crate::blocks::state::{
    BulkEntry, Failed, Found, State, compact_json, etag_aware, transaction_failed,
    unknown_operation,
};
use crate::error::ApiError;

pub(super) async fn get(
    state: &State,
    request: GetStateRequest,
) -> Result<GetStateResponse, Status> {
    let store = state.store(&request.store_name)?;
    let read = GetRequest {
        consistency: consistency(request.consistency),
        metadata: request.metadata.into_iter().collect(),
        ..GetRequest::new(request.key)
    };
    let Some(item) = store.get(read).await? else {
        return Ok(GetStateResponse::default());
    };
    let metadata = metadata_of(&item);
    Ok(GetStateResponse {
        data: item.value,
        etag: item.etag.unwrap_or_default(),
        metadata,
    })
}

pub(super) async fn bulk_get(
    state: &State,
    request: GetBulkStateRequest,
) -> Result<GetBulkStateResponse, Status> {
    let store = state.store(&request.store_name)?;
    let metadata: std::collections::BTreeMap<_, _> = request.metadata.into_iter().collect();
    let read = |key| GetRequest {
        metadata: metadata.clone(),
        ..GetRequest::new(key)
    };
    let reads = request.keys.into_iter().map(read).collect();
    let entries = store
        .bulk_get(reads, usize::try_from(request.parallelism).ok())
        .await?;
    Ok(GetBulkStateResponse {
        items: entries.into_iter().map(bulk_item).collect(),
    })
}

fn bulk_item(BulkEntry { key, result }: BulkEntry) -> BulkStateItem {
    match result {
        Ok(Some(item)) => {
            let metadata = metadata_of(&item);
            BulkStateItem {
                key,
                data: item.value,
                etag: item.etag.unwrap_or_default(),
                error: String::new(),
                metadata,
            }
        }
        Ok(None) => BulkStateItem {
            key,
            ..Default::default()
        },
        Err(error) => BulkStateItem {
            key,
            error,
            ..Default::default()
        },
    }
}

fn metadata_of(item: &Item) -> HashMap<String, String> {
    item.ttl_expire_time()
        .map(|time| ("ttlExpireTime".to_owned(), time))
        .into_iter()
        .collect()
}

pub(super) async fn save(state: &State, request: SaveStateRequest) -> Result<(), Status> {
    let store = state.store(&request.store_name)?;
    let writes: Result<Vec<_>, Status> = request
        .states
        .into_iter()
        .map(|item| saved(store.name(), item))
        .collect();
    Ok(store.set(writes?).await?)
}

fn saved(store: &str, item: StateItem) -> Result<SetRequest, Status> {
    if item.key.is_empty() {
        let (http, grpc) = (http::StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument);
        let error = ApiError::new("ERR_STATE_SAVE", http, grpc, "state key cannot be empty");
        return Err(error.reasoned().status());
    }
    let is_json = item
        .metadata
        .get("contentType")
        .is_some_and(|kind| kind == "application/json");
    let failed = |failure: &StateError| etag_aware(&Failed::Save { store }, failure);
    let mut write = upsert(item).map_err(|failure| failed(&failure))?;
    if is_json {
        let document = compact_json(write.value.bytes());
        write.value = Value::Json(document.map_err(|error| Status::unknown(error.to_string()))?);
    }
    Ok(write)
}

fn upsert(item: StateItem) -> Result<SetRequest, StateError> {
    let metadata = item.metadata.into_iter().collect();
    let ttl = Ttl::from_metadata(&metadata)?;
    Ok(SetRequest {
        key: item.key,
        value: Value::Binary(item.value),
        etag: item.etag.map(|etag| etag.value),
        options: options(item.options),
        ttl,
        metadata,
    })
}

pub(super) async fn query(
    state: &State,
    request: QueryStateRequest,
) -> Result<QueryStateResponse, Status> {
    let store = state.store(&request.store_name)?;
    let metadata = request.metadata.into_iter().collect();
    let answer = store.query(request.query.as_bytes(), metadata).await?;
    Ok(QueryStateResponse {
        results: answer.found.into_iter().map(query_item).collect(),
        token: answer.token,
        metadata: HashMap::new(),
    })
}

fn query_item(Found { key, result }: Found) -> QueryStateItem {
    match result {
        Ok(item) => QueryStateItem {
            key,
            data: item.value,
            etag: item.etag.unwrap_or_default(),
            error: String::new(),
        },
        Err(error) => QueryStateItem {
            key,
            error,
            ..Default::default()
        },
    }
}

pub(super) async fn delete(state: &State, request: DeleteStateRequest) -> Result<(), Status> {
    let store = state.store(&request.store_name)?;
    let DeleteStateRequest {
        key,
        etag,
        options,
        metadata,
        ..
    } = request;
    Ok(store
        .delete(removal(key, (etag, options), metadata))
        .await?)
}

pub(super) async fn bulk_delete(
    state: &State,
    request: DeleteBulkStateRequest,
) -> Result<(), Status> {
    let store = state.store(&request.store_name)?;
    let removals = request.states.into_iter().map(removed).collect();
    Ok(store.bulk_delete(removals).await?)
}

fn removed(item: StateItem) -> DeleteRequest {
    removal(item.key, (item.etag, item.options), item.metadata)
}

fn removal(
    key: String,
    (etag, given): (Option<Etag>, Option<StateOptions>),
    metadata: HashMap<String, String>,
) -> DeleteRequest {
    DeleteRequest {
        key,
        etag: etag.map(|etag| etag.value),
        options: options(given),
        metadata: metadata.into_iter().collect(),
    }
}

pub(super) async fn transact(
    state: &State,
    request: ExecuteStateTransactionRequest,
) -> Result<(), Status> {
    let store = state.store(&request.store_name)?;
    store.transactional()?;
    let operations: Result<Vec<_>, Status> = request.operations.into_iter().map(step).collect();
    Ok(store.transact(operations?, request.metadata).await?)
}

fn step(operation: TransactionalStateOperation) -> Result<Operation, Status> {
    let item = operation.request.unwrap_or_default();
    match operation.operation_type.as_str() {
        "upsert" => {
            let write = upsert(item).map_err(|failure| transaction_failed(&failure))?;
            Ok(Operation::Upsert(write))
        }
        "delete" => Ok(Operation::Delete(removed(item))),
        other => Err(unknown_operation(other).status()),
    }
}

fn options(options: Option<StateOptions>) -> WriteOptions {
    let options = options.unwrap_or_default();
    let concurrency = match options.concurrency {
        1 => Concurrency::FirstWrite,
        2 => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    };
    WriteOptions {
        concurrency,
        consistency: consistency(options.consistency),
    }
}

fn consistency(number: i32) -> Consistency {
    match number {
        1 => Consistency::Eventual,
        2 => Consistency::Strong,
        _ => Consistency::Unspecified,
    }
}
