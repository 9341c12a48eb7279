//! Actors over HTTP.

use std::collections::BTreeMap;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use trilby_actors::{ActorError, ActorKey, ActorRequest, ActorResponse, HttpCall};
use trilby_components::state::{DeleteRequest, Operation, SetRequest, Ttl, Value};

use super::HttpApi;
use super::respond::{HttpResponse, data, empty, failed, with_metadata};
use super::route::ActorRoute;
use super::service::body_of;
use crate::blocks::actors::{self, headers_of, metadata_of};
use crate::blocks::invoke::headers::{strip_hop_by_hop, to_http};
use crate::blocks::state::compact_json;
use crate::error::ApiError;
use crate::path::normalize_method;

pub(super) async fn serve(
    api: &HttpApi,
    (actor_type, actor_id): (String, String),
    operation: ActorRoute,
    request: Request<Body>,
) -> HttpResponse {
    let actor = actors::key(&actor_type, &actor_id);
    let (head, body) = request.into_parts();
    let answered = match operation {
        ActorRoute::Invoke { method } => invoke(api, (actor, &method), (head, body)).await,
        ActorRoute::GetState { key } => get_state(api, &actor, &key).await,
        ActorRoute::Transaction => transact(api, &actor, body).await,
        ActorRoute::CreateTimer { .. } | ActorRoute::DeleteTimer { .. } => Err(actors::no_timers()),
        ActorRoute::CreateReminder { .. } => Err(actors::no_reminders(ActorError::ReminderCreate)),
        ActorRoute::GetReminder { .. } => Err(actors::no_reminders(ActorError::ReminderGet)),
        ActorRoute::DeleteReminder { .. } => Err(actors::no_reminders(ActorError::ReminderDelete)),
    };
    answered.unwrap_or_else(|error| failed(&error))
}

async fn invoke(
    api: &HttpApi,
    (actor, method): (ActorKey, &str),
    (mut head, body): (Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let method = normalize_method(method)
        .map_err(ApiError::bad_request)?
        .into_owned();
    let data = body_of(api, body).await;
    let data =
        data.map_err(|error| ApiError::bad_request(format!("failed to read body: {error}")))?;
    let content_type = head.headers.remove(CONTENT_TYPE);
    let content_type = content_type
        .as_ref()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    strip_hop_by_hop(&mut head.headers);
    for name in [CONTENT_LENGTH, HOST] {
        head.headers.remove(name);
    }
    let mut metadata = metadata_of(&head.headers);
    metadata.insert("Dapr-API-Call".to_owned(), vec!["true".to_owned()]);
    let query = head.uri.query().unwrap_or_default().to_owned();
    let http = Some(HttpCall {
        verb: head.method.as_str().to_owned(),
        query,
    });
    let request = ActorRequest {
        http,
        content_type,
        metadata,
        data,
        ..ActorRequest::new(actor, method)
    };
    Ok(respond(api.blocks.actors.invoke(request).await?))
}

fn respond(answer: ActorResponse) -> HttpResponse {
    let mut response = HttpResponse::new(Body::from(answer.data));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = to_http(headers_of(&answer.headers));
    // Upstream sets the type of the application's answer even when there is none.
    let content_type =
        HeaderValue::from_str(&answer.content_type).unwrap_or(HeaderValue::from_static(""));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

async fn get_state(api: &HttpApi, actor: &ActorKey, key: &str) -> Result<HttpResponse, ApiError> {
    let item = api.blocks.actors.get_state(actor, key).await?;
    let Some(item) = item.filter(|item| !item.value.is_empty()) else {
        return Ok(empty());
    };
    let expires = item.ttl_expire_time();
    let response = data(StatusCode::OK, item.value);
    Ok(with_metadata(
        response,
        expires.as_deref().map(|time| ("ttlExpireTime", time)),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OperationBody {
    operation: String,
    request: RequestBody,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestBody {
    key: String,
    value: Option<Box<RawValue>>,
    etag: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

async fn transact(api: &HttpApi, actor: &ActorKey, body: Body) -> Result<HttpResponse, ApiError> {
    let body = body_of(api, body).await.map_err(ApiError::malformed)?;
    let operations: Vec<OperationBody> =
        serde_json::from_slice(&body).map_err(ApiError::malformed)?;
    let operations: Result<Vec<_>, ApiError> = operations.into_iter().map(operation).collect();
    api.blocks.actors.transact(actor, operations?).await?;
    Ok(empty())
}

fn operation(body: OperationBody) -> Result<Operation, ApiError> {
    let OperationBody { operation, request } = body;
    let metadata = request.metadata.unwrap_or_default();
    match operation.as_str() {
        "upsert" => {
            let document = request.value.as_ref().map_or("null", |value| value.get());
            let document = compact_json(document.as_bytes()).map_err(ApiError::malformed)?;
            let ttl = Ttl::from_metadata(&metadata).map_err(|error| {
                actors::failed(&ActorError::StateTransaction(error.to_string()))
            })?;
            let write = SetRequest::new(request.key, Value::Json(document));
            Ok(Operation::Upsert(SetRequest {
                etag: request.etag,
                ttl,
                metadata,
                ..write
            }))
        }
        "delete" => {
            let removal = DeleteRequest::new(request.key);
            Ok(Operation::Delete(DeleteRequest {
                etag: request.etag,
                metadata,
                ..removal
            }))
        }
        other => {
            let reason = format!("operation type {other} not supported");
            Err(actors::failed(&ActorError::StateTransaction(reason)))
        }
    }
}
