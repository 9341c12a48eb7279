use bytes::Bytes;
use http::Method;
use trilby_components::binding::{BindingError, Invocation};
use trilby_components::metadata::Metadata;

use super::*;

fn target(extra: &[(&str, &str)]) -> Target {
    let pairs = [&[("url", "http://shop.test/base/")], extra].concat();
    let metadata = Metadata::new(pairs).unwrap();
    let settings: Settings = metadata.decode().unwrap();
    settings.target().unwrap()
}

fn invocation(operation: &str, metadata: &[(&str, &str)]) -> Invocation {
    let pairs = metadata.iter();
    Invocation {
        operation: operation.to_owned(),
        data: Bytes::from("data"),
        metadata: pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

#[test]
fn operations_are_methods_and_some_have_a_body() {
    for (name, method, body) in [
        ("create", Method::POST, "data"),
        ("put", Method::PUT, "data"),
        ("patch", Method::PATCH, "data"),
        ("get", Method::GET, ""),
        ("head", Method::HEAD, ""),
        ("delete", Method::DELETE, ""),
        ("options", Method::OPTIONS, ""),
        ("trace", Method::TRACE, ""),
    ] {
        let request = target(&[]).request(&invocation(name, &[])).unwrap();
        assert_eq!(
            (request.method(), request.body().as_ref()),
            (&method, body.as_bytes())
        );
        let has_type = request.headers().contains_key(CONTENT_TYPE);
        assert_eq!(has_type, !body.is_empty(), "{name}");
        assert_eq!(request.headers()[ACCEPT], JSON);
        assert_eq!(request.uri(), "http://shop.test/base/");
    }
    let unknown = target(&[]).request(&invocation("GET", &[]));
    assert!(matches!(unknown, Err(BindingError::InvalidRequest(_))));
}

#[test]
fn only_names_with_a_capital_letter_are_headers() {
    let given = [
        ("Content-Type", "text/plain"),
        ("X-Own", "1"),
        ("x-not", "1"),
        ("path", "/a b"),
        ("Traceparent", "of the caller"),
        ("traceparent", "of the sidecar"),
    ];
    let request = target(&[]).request(&invocation("post", &given)).unwrap();
    assert_eq!(request.uri(), "http://shop.test/base/a%20b");
    let headers = request.headers();
    assert_eq!(headers[CONTENT_TYPE], "text/plain");
    assert_eq!(headers["x-own"], "1");
    assert_eq!(headers["traceparent"], "of the sidecar");
    assert!(!headers.contains_key("x-not") && !headers.contains_key("path"));
}

/// The path always comes after the host that is configured.
#[test]
fn a_path_never_leads_to_another_server() {
    for path in [
        "@evil.test/",
        "//evil.test",
        "http://evil.test/",
        "?@evil.test",
        ":80@evil.test",
    ] {
        let request = target(&[])
            .request(&invocation("get", &[("path", path)]))
            .unwrap();
        assert_eq!(request.uri().host(), Some("shop.test"), "{path}");
    }
}

#[test]
fn a_token_is_a_header_that_nobody_logs() {
    let target = target(&[
        ("securityToken", "secret"),
        ("securityTokenHeader", "X-Token"),
    ]);
    let request = target.request(&invocation("get", &[])).unwrap();
    assert_eq!(request.headers()["x-token"], "secret");
    assert!(!format!("{:?}", request.headers()).contains("secret"));
}

#[test]
fn answers_are_told_as_upstream_tells_them() {
    let answer = Response::builder()
        .status(404)
        .header("x-one-two", "a")
        .header("x-one-two", "b")
        .header("content-type", "text/plain")
        .body(Bytes::from("gone"))
        .unwrap();
    let refused = target(&[]).reply(answer.clone(), &RequestMetadata::new());
    let Err(BindingError::Refused { error, reply }) = refused else {
        panic!("it is refused: {refused:?}");
    };
    assert_eq!(error, "received status code 404");
    assert_eq!(reply.data, Some(Bytes::from("gone")));
    assert_eq!(reply.metadata["statusCode"], "404");
    assert_eq!(reply.metadata["status"], "404 Not Found");
    assert_eq!(reply.metadata["X-One-Two"], "a, b");
    assert_eq!(reply.content_type.as_deref(), Some("text/plain"));
    let says = invocation("get", &[("errorIfNot2XX", "no")]).metadata;
    assert!(target(&[]).reply(answer.clone(), &says).is_ok());
    let quiet = target(&[("errorIfNot2XX", "false")]);
    assert!(quiet.reply(answer, &RequestMetadata::new()).is_ok());
}

#[tokio::test]
async fn what_cannot_be_is_named() {
    for (pairs, name) in [
        (&[][..], "url"),
        (&[("url", "nowhere")], "url"),
        (
            &[("url", "http://a"), ("mtlsClientCert", "/none")],
            "mtlsClientKey",
        ),
        (
            &[("url", "http://a"), ("mtlsRootCA", "/no/such/file")],
            "mtlsRootCA",
        ),
        (
            &[("url", "http://a"), ("mtlsRootCA", "-----BEGIN nothing")],
            "authorities",
        ),
        (
            &[("url", "http://a"), ("securityToken", "x")],
            "securityTokenHeader",
        ),
        (
            &[("url", "http://a"), ("maxResponseBodySize", "much")],
            "maxResponseBodySize",
        ),
        (
            &[("url", "http://a"), ("mtlsRenegotiation", "Sometimes")],
            "mtlsRenegotiation",
        ),
    ] {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        let refused = HttpBinding::new(&metadata).await.err().unwrap();
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[test]
fn sizes_and_times_have_upstreams_defaults() {
    let limits = |pairs: &[(&str, &str)]| {
        let pairs = [&[("url", "http://a")], pairs].concat();
        let settings: Settings = Metadata::new(pairs).unwrap().decode().unwrap();
        settings.limits()
    };
    assert_eq!(limits(&[]).size, 100 << 20);
    assert_eq!(limits(&[("maxResponseBodySize", "2k")]).size, 2_000);
    assert_eq!(limits(&[("maxResponseBodySize", "0")]).size, usize::MAX);
    assert_eq!(limits(&[("maxResponseBodySize", "-1")]).size, usize::MAX);
    assert_eq!(limits(&[("responseTimeout", "3s")]).time.as_secs(), 3);
}
