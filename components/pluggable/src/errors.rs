//! How components fail: from a status to the error of a block. Texts are those by which upstream's sidecar prints them.

use http::StatusCode;
use tonic::{Code, Status};
use trilby_components::{
    registry::InitError,
    secret::SecretError,
    state::{CustomError, StateError},
};
use trilby_grpc::{
    rpc::{BadRequest, ErrorInfo, unpack},
    status::{code_name, describe, details_of},
};

/// The field that a violation names when it is about an etag.
const ETAG: &str = "etag";

/// A component that could not be initialised.
pub(crate) fn init(status: &Status) -> InitError {
    let text = describe(status);
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => InitError::Invalid(text),
        _ => InitError::Unavailable(text),
    }
}

/// A failure of a state store.
pub(crate) fn state(status: &Status) -> StateError {
    if let Some(custom) = custom(status) {
        return StateError::Custom(Box::new(custom));
    }
    let text = || describe(status);
    match (status.code(), etag_violation(status)) {
        (Code::FailedPrecondition, Some(violation)) => StateError::EtagMismatch(violation),
        (Code::InvalidArgument, Some(violation)) => StateError::EtagInvalid(violation),
        (Code::InvalidArgument, None) => StateError::InvalidRequest(text()),
        (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled, _) => {
            StateError::Unavailable(text())
        }
        _ => StateError::Store(text()),
    }
}

/// A failure to remove many keys.
pub(crate) fn bulk_delete(status: &Status) -> StateError {
    match rows(status) {
        Some((expected, affected)) => StateError::Store(format!(
            "delete affected only {affected} rows, expected {expected}"
        )),
        None => state(status),
    }
}

/// A failure of a secret store.
pub(crate) fn secret(status: &Status) -> SecretError {
    let text = describe(status);
    match status.code() {
        Code::NotFound => SecretError::NotFound(text),
        Code::PermissionDenied | Code::Unauthenticated => SecretError::Forbidden(text),
        Code::InvalidArgument => SecretError::InvalidRequest(text),
        _ => SecretError::Unavailable(text),
    }
}

/// What the component wants the API to answer.
fn custom(status: &Status) -> Option<CustomError> {
    let info = only_detail::<ErrorInfo>(status)?;
    let said = |key: &str| info.metadata.get(key).map(String::as_str);
    if said("kit_error") != Some("true") {
        return None;
    }
    let http: u16 = said("http_code")?.parse().ok()?;
    let (code, message) = (code_name(status.code()), status.message());
    Some(CustomError {
        text: format!("api error: code = {code} desc = {message}"),
        message: message.to_owned(),
        grpc: status.code() as i32,
        http: StatusCode::from_u16(http).ok()?,
        code: said("tag").unwrap_or_default().to_owned(),
        reason: info.reason.clone(),
        domain: info.domain.clone(),
    })
}

/// What is wrong with the etag, where that is all that is wrong.
fn etag_violation(status: &Status) -> Option<String> {
    let mut violations = only_detail::<BadRequest>(status)?.field_violations;
    let violation = violations.pop().filter(|_| violations.is_empty())?;
    (violation.field == ETAG).then_some(violation.description)
}

/// How many rows were to be removed, and how many were.
fn rows(status: &Status) -> Option<(u64, u64)> {
    if status.code() != Code::Internal {
        return None;
    }
    let info = only_detail::<ErrorInfo>(status)?;
    let number = |key: &str| info.metadata.get(key)?.parse().ok();
    Some((number("expected")?, number("affected")?))
}

fn only_detail<M: prost::Message + trilby_grpc::rpc::Named + Default>(
    status: &Status,
) -> Option<M> {
    match details_of(status).as_slice() {
        [detail] => unpack(detail),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
