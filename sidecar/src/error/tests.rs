use http::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use super::{
    ApiError, Detail, describe, http_status_of, status_details as details_of, status_of_http,
};

fn body(error: &ApiError) -> Value {
    serde_json::from_slice(&error.body()).unwrap()
}

#[test]
fn plain_error_has_no_details() {
    let error = ApiError::bad_request("no");
    assert_eq!(
        body(&error),
        json!({ "errorCode": "ERR_BAD_REQUEST", "message": "invalid request: no" })
    );
    assert!(details_of(&error.status()).is_empty());
}

#[test]
fn details_are_snake_case_in_http() {
    let error = ApiError::malformed_verbatim("bad key")
        .with(Detail::error_info("DAPR_STATE_ILLEGAL_KEY", []))
        .with(Detail::ResourceInfo {
            kind: "state",
            name: "s".into(),
            description: String::new(),
        })
        .with(Detail::FieldViolation {
            field: "a||b".into(),
            description: "bad key".into(),
        });
    let details = &body(&error)["details"];
    assert_eq!(
        details[0]["@type"],
        "type.googleapis.com/google.rpc.ErrorInfo"
    );
    assert_eq!(details[0]["domain"], "dapr.io");
    assert_eq!(details[1]["resource_type"], "state");
    assert_eq!(details[2]["field_violations"][0]["field"], "a||b");
}

#[test]
fn fields_are_in_upstreams_order() {
    let error = ApiError::malformed_verbatim("x").with(Detail::error_info("WHY", []));
    let text = String::from_utf8(error.body()).unwrap();
    let order = ["\"errorCode\"", "\"message\"", "\"details\""];
    let places = order.map(|field| text.find(field).unwrap());
    assert!(
        places.is_sorted() && text.starts_with("{\"errorCode\""),
        "{text}"
    );
}

#[test]
fn details_travel_in_the_status() {
    let error =
        ApiError::malformed_verbatim("x").with(Detail::error_info("WHY", [("appID", "a".into())]));
    let details = details_of(&error.status());
    assert_eq!(details.len(), 1);
    assert_eq!(
        details[0].type_url,
        "type.googleapis.com/google.rpc.ErrorInfo"
    );
}

#[test]
fn reasoned_error_names_its_code_over_grpc_only() {
    let error = ApiError::new(
        "ERR_STATE_GET",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        "x",
    )
    .reasoned();
    assert!(body(&error).get("details").is_none());
    assert_eq!(details_of(&error.status()).len(), 1);
}

#[test]
fn go_prints_the_code_by_name() {
    let status = tonic::Status::unavailable("gone");
    assert_eq!(
        describe(&status),
        "rpc error: code = Unavailable desc = gone"
    );
}

#[test]
fn bad_request_becomes_internal_and_not_the_reverse() {
    assert_eq!(status_of_http(StatusCode::BAD_REQUEST), Code::Internal);
    assert_eq!(
        http_status_of(Code::Internal),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(status_of_http(StatusCode::CREATED), Code::Ok);
    assert_eq!(status_of_http(StatusCode::IM_A_TEAPOT), Code::Unknown);
}
