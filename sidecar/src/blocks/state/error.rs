//! What the state API answers when it fails: codes and texts that SDKs know.

use http::StatusCode;
use tonic::Code;
use trilby_components::state::{CustomError, StateError};
use trilby_resources::Lookup;

use crate::error::{ApiError, Detail};

/// The operation that failed, as messages name it.
#[derive(Debug, Clone, Copy)]
pub enum Failed<'a> {
    /// Writing to a store.
    Save {
        /// The store.
        store: &'a str,
    },
    /// Removing a key.
    Delete {
        /// The application's key.
        key: &'a str,
    },
    /// Removing several keys.
    BulkDelete {
        /// The store.
        store: &'a str,
    },
}

/// A failure whose status depends on what happened to the etag.
pub fn etag_aware(failed: &Failed<'_>, failure: &StateError) -> ApiError {
    let (http, grpc) = statuses(failure);
    let (code, message) = match failed {
        Failed::Save { store } => (
            "ERR_STATE_SAVE",
            format!("failed saving state in state store {store}: {failure}"),
        ),
        Failed::Delete { key } => (
            "ERR_STATE_DELETE",
            format!("failed deleting state with key {key}: {failure}"),
        ),
        Failed::BulkDelete { store } => (
            "ERR_STATE_BULK_DELETE",
            format!("failed deleting state in state store {store}: {failure}"),
        ),
    };
    let error = ApiError::new(code, http, grpc, message).reasoned();
    as_the_store_says(error, failure)
}

fn statuses(failure: &StateError) -> (StatusCode, Code) {
    match failure {
        StateError::EtagMismatch(_) | StateError::Conflict(_) => {
            (StatusCode::CONFLICT, Code::Aborted)
        }
        StateError::EtagInvalid(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        StateError::Custom(custom) => (custom.http, Code::from(custom.grpc)),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    }
}

/// Where the store has words of its own, gRPC answers with those alone; HTTP with its status, around its text.
fn as_the_store_says(error: ApiError, failure: &StateError) -> ApiError {
    match failure {
        StateError::Custom(custom) => {
            error.over_grpc(custom.message.clone(), vec![component_info(custom)])
        }
        _ => error,
    }
}

fn component_info(custom: &CustomError) -> Detail {
    Detail::ComponentInfo {
        reason: custom.reason.clone(),
        domain: custom.domain.clone(),
    }
}

/// A whole answer in the store's own words, over both protocols.
fn in_the_stores_words(custom: &CustomError) -> ApiError {
    let code = match custom.code.as_str() {
        "" => &custom.reason,
        code => code,
    };
    let (http, grpc) = (custom.http, Code::from(custom.grpc));
    ApiError::new(code.to_owned(), http, grpc, &*custom.message).with(component_info(custom))
}

pub(super) fn lookup(store: &str, app_id: &str, lookup: &Lookup) -> ApiError {
    let (code, http, grpc, message, reason) = match lookup {
        Lookup::NotConfigured => (
            "ERR_STATE_STORE_NOT_CONFIGURED",
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::FailedPrecondition,
            format!("state store {store} is not configured"),
            "DAPR_STATE_NOT_CONFIGURED",
        ),
        Lookup::NotFound => (
            "ERR_STATE_STORE_NOT_FOUND",
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            format!("state store {store} is not found"),
            "DAPR_STATE_NOT_FOUND",
        ),
        Lookup::Failed(why) => (
            "ERR_STATE_STORE_NOT_FOUND",
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            format!("state store {store} is not found: it did not start: {why}"),
            "DAPR_STATE_NOT_FOUND",
        ),
    };
    ApiError::new(code, http, grpc, message.clone())
        .with(Detail::error_info(reason, [("appID", app_id.to_owned())]))
        // Upstream names the application over HTTP only.
        .over_grpc(message, vec![Detail::error_info(reason, [])])
}

pub(super) fn illegal_key(store: &str, key: &str) -> ApiError {
    let message = format!("input key/keyPrefix '{key}' can't contain '||'");
    ApiError::malformed_verbatim(message.clone())
        .with(Detail::ResourceInfo {
            kind: "state",
            name: store.to_owned(),
            description: String::new(),
        })
        .with(Detail::FieldViolation {
            field: key.to_owned(),
            description: message,
        })
        .with(Detail::error_info("DAPR_STATE_ILLEGAL_KEY", []))
}

pub(super) fn get(store: &str, key: &str, failure: &StateError) -> ApiError {
    let message = format!("fail to get {key} from state store {store}: {failure}");
    let (http, grpc) = match failure {
        StateError::Custom(_) => statuses(failure),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    };
    let error = ApiError::new("ERR_STATE_GET", http, grpc, message).reasoned();
    as_the_store_says(error, failure)
}

/// A bulk read that failed as a whole, as the store says.
pub(super) fn bulk_get(failure: &StateError) -> ApiError {
    let (http, grpc) = statuses(failure);
    let error = ApiError::new("ERR_STATE_BULK_GET", http, grpc, failure.to_string());
    as_the_store_says(error, failure)
}

pub(super) fn no_transactions(store: &str) -> ApiError {
    let message = format!("state store {store} doesn't support transactions");
    unsupported(store, Code::Unimplemented, message)
        .with(Detail::Help {
            url: "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
            description: "Check the list of state stores and the features they support",
        })
        .with(Detail::error_info(
            "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED",
            [],
        ))
}

pub(super) fn no_queries(store: &str) -> ApiError {
    unsupported(
        store,
        Code::Internal,
        "state store does not support querying".to_owned(),
    )
    .with(Detail::error_info("DAPR_STATE_QUERYING_NOT_SUPPORTED", []))
}

/// A query that failed.
pub(super) fn query_failed(store: &str, failure: &StateError) -> ApiError {
    match failure {
        StateError::Custom(custom) => in_the_stores_words(custom),
        _ => query(store, failure),
    }
}

/// A query that is none, that the store cannot answer, or that failed.
pub(super) fn query(store: &str, why: impl std::fmt::Display) -> ApiError {
    let message = format!("state store {store} query failed: {why}");
    ApiError::new(
        "ERR_STATE_QUERY",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        message,
    )
    .with(Detail::ResourceInfo {
        kind: "state",
        name: store.to_owned(),
        description: String::new(),
    })
    .with(Detail::error_info("DAPR_STATE_QUERY_FAILED", []))
}

fn unsupported(store: &str, grpc: Code, message: String) -> ApiError {
    ApiError::new(
        "ERR_STATE_STORE_NOT_SUPPORTED",
        StatusCode::INTERNAL_SERVER_ERROR,
        grpc,
        message,
    )
    .with(Detail::ResourceInfo {
        kind: "state",
        name: store.to_owned(),
        description: String::new(),
    })
}

pub(super) fn too_many_operations(store: &str, given: usize, most: usize) -> ApiError {
    let message = format!(
        "the transaction contains {given} operations, which is more than what the state store supports: {most}"
    );
    let counts = [
        ("currentOpsTransaction", given.to_string()),
        ("maxOpsPerTransaction", most.to_string()),
    ];
    ApiError::new(
        "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS",
        StatusCode::BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
    .with(Detail::ResourceInfo {
        kind: "state",
        name: store.to_owned(),
        description: String::new(),
    })
    .with(Detail::error_info(
        "DAPR_STATE_TOO_MANY_TRANSACTIONS",
        counts,
    ))
}

/// A transaction that did not take place. Upstream answers 500 also where an etag did not hold; that is told apart
/// here, as where single keys are written.
pub fn transaction(failure: &StateError) -> ApiError {
    let (http, grpc) = match failure {
        StateError::Custom(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        _ => statuses(failure),
    };
    let message = format!("error while executing state transaction: {failure}");
    ApiError::new("ERR_STATE_TRANSACTION", http, grpc, message).reasoned()
}

pub(super) fn unknown_operation(name: &str) -> ApiError {
    let message = format!("operation type {name} not supported");
    ApiError::new(
        "ERR_NOT_SUPPORTED_STATE_OPERATION",
        StatusCode::BAD_REQUEST,
        Code::Unimplemented,
        message,
    )
    .reasoned()
}
