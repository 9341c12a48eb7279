//! Between gRPC statuses and HTTP statuses, and the text that Go's programs print for a status.

use http::StatusCode;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::details::wire;

/// A status whose details travel in `grpc-status-details-bin`.
pub fn build(code: Code, message: &str, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let status = wire::Status {
        code: code as i32,
        message: message.to_owned(),
        details,
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// The details inside a received status.
pub fn details_of(status: &Status) -> Vec<Any> {
    wire::Status::decode(status.details())
        .map(|status| status.details)
        .unwrap_or_default()
}

/// The reason that a response's head gives for its failure, if it is one of the sidecar's own errors.
pub fn reason_in(headers: &http::HeaderMap) -> Option<String> {
    let details = Status::from_header_map(headers)?;
    let mut infos = details_of(&details).into_iter().filter_map(|detail| {
        let is_info = detail.type_url.ends_with("/google.rpc.ErrorInfo");
        is_info
            .then(|| wire::ErrorInfo::decode(&*detail.value).ok())
            .flatten()
    });
    infos
        .find(|info| info.domain == super::DOMAIN)
        .map(|info| info.reason)
}

/// The text by which Go's gRPC prints a status; it stands inside messages that applications see.
pub fn describe(status: &Status) -> String {
    format!(
        "rpc error: code = {} desc = {}",
        go_name(status.code()),
        status.message()
    )
}

/// The HTTP status that stands for a gRPC code.
pub fn http_status_of(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The gRPC code that stands for an HTTP status. Not the inverse of [`http_status_of`]: 400 becomes
/// `Internal`, as upstream has it.
pub fn status_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        200..=299 => Code::Ok,
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        408 => Code::Cancelled,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Unknown,
    }
}

/// A code in the spelling of Go's gRPC, which metrics and messages use.
pub fn go_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
