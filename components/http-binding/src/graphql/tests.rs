use bytes::Bytes;
use http::Response;
use serde_json::Value;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation};
use trilby_components::metadata::Metadata;

use super::{GraphqlBinding, document, reply};

fn invocation(operation: &str, metadata: &[(&str, &str)]) -> Invocation {
    let pairs = metadata.iter();
    Invocation {
        operation: operation.to_owned(),
        data: Bytes::new(),
        metadata: pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

fn binding(extra: &[(&str, &str)]) -> GraphqlBinding {
    let pairs = [&[("endpoint", "http://api.test/graphql")], extra].concat();
    GraphqlBinding::new(&Metadata::new(pairs).unwrap()).unwrap()
}

#[test]
fn a_document_is_what_its_operation_says() {
    let text = "  query($a: String) { a }  ";
    let query = invocation("query", &[("query", text)]);
    assert_eq!(document(&query), Ok(text.trim()));
    for (operation, key, text) in [
        ("query", "query", "mutation { a }"),
        ("query", "query", "queryAll { a }"),
        ("query", "query", "{ query }"),
        ("query", "query", " "),
        ("query", "mutation", "query { a }"),
        ("mutation", "mutation", "query { a }"),
        ("subscription", "subscription", "subscription { a }"),
    ] {
        let refused = document(&invocation(operation, &[(key, text)])).err();
        assert!(
            matches!(refused, Some(BindingError::InvalidRequest(_))),
            "{text}"
        );
    }
}

#[test]
fn variables_are_texts_and_headers_add_up() {
    let binding = binding(&[("header:X-Token", "secret"), ("header:X-Both", "component")]);
    let invocation = invocation(
        "query",
        &[
            ("query", "query { a }"),
            ("variable:a", "1"),
            ("header:X-Both", "request"),
            ("other", "x"),
        ],
    );
    let request = binding.request(&invocation).unwrap();
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["query"], "query { a }");
    assert_eq!(body["variables"], serde_json::json!({"a": "1"}));
    assert_eq!(request.headers()["x-token"], "secret");
    assert_eq!(request.headers()["x-both"], "request");
    assert_eq!(request.headers().len(), 4);
}

#[test]
fn errors_of_the_server_are_errors() {
    let answer = |status: u16, body: &'static str| {
        let answer = Response::builder().status(status).body(Bytes::from(body));
        reply(&answer.unwrap(), RequestMetadata::new())
    };
    let data = answer(200, r#"{"data": {"n": 12345678901234567890123}}"#)
        .unwrap()
        .data;
    assert_eq!(
        data.as_deref(),
        Some(&br#"{"n": 12345678901234567890123}"#[..])
    );
    assert_eq!(
        answer(200, "{}").unwrap().data.as_deref(),
        Some(&b"null"[..])
    );
    for (status, body, reason) in [
        (
            200,
            r#"{"data":null,"errors":[{"message":"no such field"}]}"#,
            "no such field",
        ),
        (
            400,
            r#"{"errors":[{"message":"no such field"}]}"#,
            "no such field",
        ),
        (502, "<html>", "502"),
        (200, "<html>", "not understood"),
    ] {
        let refused = answer(status, body).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (pairs, name) in [
        (&[][..], "endpoint"),
        (&[("endpoint", "/graphql")], "endpoint"),
        (
            &[("endpoint", "http://a"), ("header:Host", "b")],
            "header:Host",
        ),
    ] {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        let refused = GraphqlBinding::new(&metadata).err().unwrap();
        assert!(refused.to_string().contains(name), "{refused}");
    }
}
