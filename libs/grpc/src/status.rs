//! What tonic leaves out of a status: its details as messages, and the words that Go's programs have for it.

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};

use crate::rpc;

/// A status whose details travel in `grpc-status-details-bin`.
#[must_use]
pub fn with_details(code: Code, message: &str, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let status = rpc::Status {
        code: code as i32,
        message: message.to_owned(),
        details,
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// The details inside a received status.
#[must_use]
pub fn details_of(status: &Status) -> Vec<Any> {
    rpc::Status::decode(status.details())
        .map(|status| status.details)
        .unwrap_or_default()
}

/// The text by which Go's gRPC prints a status; it stands inside messages that applications see.
#[must_use]
pub fn describe(status: &Status) -> String {
    format!(
        "rpc error: code = {} desc = {}",
        code_name(status.code()),
        status.message()
    )
}

/// A code in the spelling of Go's gRPC, which metrics and messages use.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
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
