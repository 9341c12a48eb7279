//! Service invocation over gRPC, the old way: `InvokeService`.

use http::{HeaderMap, HeaderValue};
use prost_types::Any;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use trilby_proto::common::v1::InvokeResponse;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::runtime::v1::InvokeServiceRequest;

use super::spans::describe_invocation;
use crate::blocks::Blocks;
use crate::blocks::invoke::headers::{Origin, to_metadata};
use crate::blocks::invoke::{Answer, Call, InvokeError, Outcome, stopped_status};
use crate::error::{ApiError, Detail, status_with_details};
use crate::payload::Payload;

/// Carries the HTTP status of the application.
const HTTP_STATUS: &str = "dapr-http-status";
/// The longest text in an `ErrorInfo`'s metadata that upstream sends, in bytes.
const LONGEST_DETAIL: usize = 63;

pub(super) async fn invoke_service(
    blocks: &Blocks,
    request: Request<InvokeServiceRequest>,
) -> Result<Response<InvokeResponse>, Status> {
    let (metadata, extensions, request) = request.into_parts();
    let message = request.message.unwrap_or_default();
    describe_invocation(&extensions, &request.id, &message.method);
    let extension = message.http_extension.unwrap_or_default();
    let data = message.data.unwrap_or_default();
    let call = Call {
        method: message.method,
        verb: Verb::try_from(extension.verb).unwrap_or(Verb::None),
        query: extension.querystring,
        content_type: message.content_type,
        type_url: data.type_url,
        headers: metadata.into_headers(),
        origin: Origin::Grpc,
        body: Payload::Bytes(data.value.into()),
    };
    let answer = blocks.invoke.invoke(&request.id, call).await;
    respond(
        answer.map_err(|error| not_invoked(&request.id, &error))?,
        blocks.invoke.max_body,
    )
    .await
}

/// What ended a call: a policy speaks for itself, as upstream's do.
fn not_invoked(target: &str, error: &InvokeError) -> Status {
    if let InvokeError::Stopped(stopped) = error {
        return stopped_status(stopped);
    }
    let message = format!("failed to invoke, id: {target}, err: {error}");
    ApiError::new(
        "ERR_DIRECT_INVOKE",
        http::StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        message,
    )
    .status()
}

async fn respond(answer: Answer, limit: usize) -> Result<Response<InvokeResponse>, Status> {
    let Answer {
        outcome,
        headers,
        trailers,
        origin,
        content_type,
        type_url,
        body,
    } = answer;
    let value = body
        .collect(limit)
        .await
        .map_err(|error| Status::internal(error.to_string()))?;
    let mut metadata = to_metadata(headers, origin);
    if let Outcome::Http(status) = &outcome {
        metadata.insert(HTTP_STATUS, HeaderValue::from(status.as_u16()));
    }
    match failure(&outcome, &value) {
        Some(mut status) => {
            metadata.extend(trailers);
            *status.metadata_mut() = merged(status.metadata(), metadata);
            Err(status)
        }
        None => {
            let data = Some(Any {
                type_url,
                value: value.into(),
            });
            let mut response = Response::new(InvokeResponse { data, content_type });
            *response.metadata_mut() = MetadataMap::from_headers(metadata);
            Ok(response)
        }
    }
}

fn merged(own: &MetadataMap, more: HeaderMap) -> MetadataMap {
    let mut headers = own.clone().into_headers();
    headers.extend(more);
    MetadataMap::from_headers(headers)
}

/// The status of an unsuccessful answer.
fn failure(outcome: &Outcome, body: &[u8]) -> Option<Status> {
    match outcome {
        Outcome::Http(status) if outcome.grpc() != Code::Ok => {
            let reason = status.canonical_reason().unwrap_or_default();
            let text =
                String::from_utf8_lossy(&body[..body.len().min(LONGEST_DETAIL)]).into_owned();
            let info = [
                ("http.code", status.as_u16().to_string()),
                ("http.error_message", text),
            ];
            let error = ApiError::new("ERR_DIRECT_INVOKE", *status, outcome.grpc(), reason);
            Some(error.with(Detail::error_info(reason, info)).status())
        }
        Outcome::Grpc {
            code,
            message,
            details,
        } if *code != Code::Ok => Some(status_with_details(*code, message, details.clone())),
        _ => None,
    }
}
