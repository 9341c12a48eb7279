use http::StatusCode;
use tonic::Code;
use trilby_components::state::StateError;
use trilby_resources::Lookup;

use super::error::{self, Failed};
use super::etag_aware;

#[test]
fn etag_failures_have_a_status_of_their_own() {
    let failed = Failed::Save { store: "s" };
    let mismatch = etag_aware(&failed, &StateError::EtagMismatch("x".into()));
    assert_eq!(
        (mismatch.http(), mismatch.grpc()),
        (StatusCode::CONFLICT, Code::Aborted)
    );
    let invalid = etag_aware(&failed, &StateError::EtagInvalid("x".into()));
    assert_eq!(
        (invalid.http(), invalid.grpc()),
        (StatusCode::BAD_REQUEST, Code::InvalidArgument)
    );
    let other = etag_aware(&failed, &StateError::Unavailable("away".into()));
    assert_eq!(
        other.message(),
        "failed saving state in state store s: away"
    );
    assert_eq!(other.http(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn missing_store_is_told_apart_from_no_stores_and_from_a_broken_one() {
    let none = error::lookup("s", "a", &Lookup::NotConfigured);
    assert_eq!(
        (none.code(), none.http()),
        (
            "ERR_STATE_STORE_NOT_CONFIGURED",
            StatusCode::INTERNAL_SERVER_ERROR
        )
    );
    let missing = error::lookup("s", "a", &Lookup::NotFound);
    assert_eq!(
        (missing.code(), missing.http()),
        ("ERR_STATE_STORE_NOT_FOUND", StatusCode::BAD_REQUEST)
    );
    let broken = error::lookup("s", "a", &Lookup::Failed("no password".into()));
    assert!(broken.message().contains("no password"));
}

/// Upstream answers both with 500 and `Internal`.
#[test]
fn transactions_tell_a_conflict_from_a_failure() {
    let status = |failure: StateError| {
        let answer = error::transaction(&failure);
        assert_eq!(answer.code(), "ERR_STATE_TRANSACTION");
        (answer.http(), answer.grpc())
    };
    assert_eq!(
        status(StateError::EtagMismatch("x".into())),
        (StatusCode::CONFLICT, Code::Aborted)
    );
    assert_eq!(
        status(StateError::EtagInvalid("x".into())),
        (StatusCode::BAD_REQUEST, Code::InvalidArgument)
    );
    assert_eq!(
        status(StateError::Store("x".into())),
        (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal)
    );
}
