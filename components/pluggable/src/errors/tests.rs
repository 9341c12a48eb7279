use tonic::{Code, Status};
use trilby_components::{registry::InitError, secret::SecretError, state::StateError};
use trilby_grpc::{
    rpc::{BadRequest, ErrorInfo, FieldViolation, Named, pack},
    status::with_details,
};

use super::{bulk_delete, init, secret, state};

fn with<M: prost::Message + Named>(code: Code, details: &[M]) -> Status {
    with_details(code, "why", details.iter().map(pack).collect())
}

fn violation(field: &str) -> FieldViolation {
    FieldViolation {
        field: field.to_owned(),
        description: "it is old".to_owned(),
    }
}

fn violations(code: Code, fields: &[&str]) -> Status {
    let field_violations = fields.iter().map(|field| violation(field)).collect();
    with(code, &[BadRequest { field_violations }])
}

fn info(code: Code, metadata: &[(&str, &str)]) -> Status {
    let metadata = metadata.iter();
    let info = ErrorInfo {
        reason: "REASON".to_owned(),
        domain: "domain".to_owned(),
        metadata: metadata
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    with(code, &[info])
}

#[test]
fn a_violation_of_the_etag_alone_is_about_the_etag() {
    let old = || "it is old".to_owned();
    let mismatch = state(&violations(Code::FailedPrecondition, &["etag"]));
    assert_eq!(mismatch, StateError::EtagMismatch(old()));
    let invalid = state(&violations(Code::InvalidArgument, &["etag"]));
    assert_eq!(invalid, StateError::EtagInvalid(old()));
    let text = "rpc error: code = FailedPrecondition desc = why";
    for status in [
        violations(Code::FailedPrecondition, &["key"]),
        violations(Code::FailedPrecondition, &["etag", "etag"]),
        violations(Code::FailedPrecondition, &[]),
        Status::failed_precondition("why"),
    ] {
        assert_eq!(state(&status), StateError::Store(text.to_owned()));
    }
}

#[test]
fn a_component_may_say_what_the_api_answers() {
    let said = [("kit_error", "true"), ("http_code", "506"), ("tag", "TAG")];
    let StateError::Custom(custom) = state(&info(Code::DataLoss, &said)) else {
        panic!("it is one");
    };
    assert_eq!(custom.to_string(), "api error: code = DataLoss desc = why");
    assert_eq!(
        (custom.http.as_u16(), custom.grpc),
        (506, Code::DataLoss as i32)
    );
    assert_eq!(
        (&*custom.code, &*custom.reason, &*custom.domain),
        ("TAG", "REASON", "domain")
    );
    for wrong in [
        &[("http_code", "506")][..],
        &[("kit_error", "true")],
        &[("kit_error", "true"), ("http_code", "many")],
        &[("kit_error", "true"), ("http_code", "7")],
    ] {
        let error = state(&info(Code::DataLoss, wrong));
        assert!(
            matches!(error, StateError::Store(_)),
            "{wrong:?}: {error:?}"
        );
    }
}

#[test]
fn rows_that_were_not_removed_are_counted() {
    let rows = |expected| info(Code::Internal, &[("expected", expected), ("affected", "1")]);
    assert_eq!(
        bulk_delete(&rows("3")).to_string(),
        "delete affected only 1 rows, expected 3"
    );
    assert_eq!(
        bulk_delete(&rows("many")).to_string(),
        "rpc error: code = Internal desc = why"
    );
}

#[test]
fn what_may_pass_is_told_from_what_stays() {
    assert!(state(&Status::unavailable("away")).is_transient());
    assert!(state(&Status::deadline_exceeded("late")).is_transient());
    assert!(state(&Status::invalid_argument("no")).is_final());
    assert!(matches!(
        init(&Status::unknown("no")),
        InitError::Unavailable(_)
    ));
    assert!(matches!(
        init(&Status::invalid_argument("no")),
        InitError::Invalid(_)
    ));
    assert!(matches!(
        secret(&Status::not_found("no")),
        SecretError::NotFound(_)
    ));
    assert!(secret(&Status::unknown("no")).is_transient());
}
