//! Between gRPC statuses and HTTP statuses.

use http::StatusCode;
use tonic::{Code, Status};
use trilby_grpc::rpc;
use trilby_grpc::status::details_of;

/// The reason that a response's head gives for its failure, if it is one of the sidecar's own errors.
pub fn reason_in(headers: &http::HeaderMap) -> Option<String> {
    let details = Status::from_header_map(headers)?;
    let mut infos = details_of(&details)
        .into_iter()
        .filter_map(|detail| rpc::unpack::<rpc::ErrorInfo>(&detail));
    infos
        .find(|info| info.domain == super::DOMAIN)
        .map(|info| info.reason)
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
