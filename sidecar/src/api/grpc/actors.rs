//! Actors over gRPC.

use std::collections::BTreeMap;

use tonic::metadata::KeyAndValueRef;
use tonic::{Request, Status};
use trilby_actors::{ActorError, ActorRequest};
use trilby_components::state::{DeleteRequest, Operation, SetRequest, Ttl, Value};
use trilby_proto::runtime::v1::{
    ExecuteActorStateTransactionRequest, GetActorStateRequest, GetActorStateResponse,
    InvokeActorRequest, InvokeActorResponse, TransactionalActorStateOperation,
};

use crate::blocks::actors::{self, ActorBlock};
use crate::error::ApiError;
use crate::path::normalize_method;

pub(super) async fn invoke(
    block: &ActorBlock,
    request: Request<InvokeActorRequest>,
) -> Result<InvokeActorResponse, Status> {
    let mut metadata = text_of(request.metadata());
    let request = request.into_inner();
    for (name, value) in request.metadata {
        metadata.insert(name, vec![value]);
    }
    metadata.insert("Dapr-API-Call".to_owned(), vec!["true".to_owned()]);
    let method = normalize_method(&request.method)
        .map_err(ApiError::bad_request)?
        .into_owned();
    let actor = actors::key(&request.actor_type, &request.actor_id);
    let call = ActorRequest {
        metadata,
        data: request.data,
        ..ActorRequest::new(actor, method)
    };
    let answer = block.invoke(call).await?;
    Ok(InvokeActorResponse { data: answer.data })
}

/// Metadata that is text and the caller's own.
fn text_of(metadata: &tonic::metadata::MetadataMap) -> BTreeMap<String, Vec<String>> {
    let mut text = BTreeMap::<String, Vec<String>>::new();
    for entry in metadata.iter() {
        if let KeyAndValueRef::Ascii(key, value) = entry
            && !matches!(key.as_str(), "content-type" | "te" | "user-agent")
            && !key.as_str().starts_with("grpc-")
            && let Ok(value) = value.to_str()
        {
            text.entry(key.as_str().to_owned())
                .or_default()
                .push(value.to_owned());
        }
    }
    text
}

pub(super) async fn get_state(
    block: &ActorBlock,
    request: GetActorStateRequest,
) -> Result<GetActorStateResponse, Status> {
    let actor = actors::key(&request.actor_type, &request.actor_id);
    let Some(item) = block.get_state(&actor, &request.key).await? else {
        return Ok(GetActorStateResponse::default());
    };
    let metadata = item
        .ttl_expire_time()
        .map(|time| ("ttlExpireTime".to_owned(), time))
        .into_iter()
        .collect();
    Ok(GetActorStateResponse {
        data: item.value,
        metadata,
    })
}

pub(super) async fn transact(
    block: &ActorBlock,
    request: ExecuteActorStateTransactionRequest,
) -> Result<(), Status> {
    let actor = actors::key(&request.actor_type, &request.actor_id);
    let operations: Result<Vec<_>, Status> =
        request.operations.into_iter().map(operation).collect();
    Ok(block.transact(&actor, operations?).await?)
}

fn operation(request: TransactionalActorStateOperation) -> Result<Operation, Status> {
    let failed = |reason: String| actors::failed(&ActorError::StateTransaction(reason)).status();
    let metadata = request.metadata.into_iter().collect();
    match request.operation_type.as_str() {
        "upsert" => {
            let value = request.value.unwrap_or_default().value;
            let ttl = Ttl::from_metadata(&metadata).map_err(|error| failed(error.to_string()))?;
            let write = SetRequest::new(request.key, Value::Binary(value.into()));
            Ok(Operation::Upsert(SetRequest {
                ttl,
                metadata,
                ..write
            }))
        }
        "delete" => Ok(Operation::Delete(DeleteRequest {
            metadata,
            ..DeleteRequest::new(request.key)
        })),
        other => Err(failed(format!("operation type {other} not supported"))),
    }
}
