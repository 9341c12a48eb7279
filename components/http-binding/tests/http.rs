//! `bindings.http` and `bindings.graphql` against servers in this process.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, Instance, Registry};

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}"))
}

/// Tells what it was asked, under `/told`.
async fn told(request: Request) -> Json<Value> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| {
        head.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    Json(json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "body": String::from_utf8_lossy(&body),
        "own": header("x-own"),
        "token": header("x-token"),
        "type": header("content-type"),
    }))
}

async fn graphql(headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let token = headers.get("x-token").and_then(|value| value.to_str().ok());
    if token != Some("secret") {
        let errors = json!({"errors": [{"message": "who are you?"}]});
        return (StatusCode::UNAUTHORIZED, Json(errors)).into_response();
    }
    Json(json!({"data": {"echo": body}})).into_response()
}

async fn server() -> String {
    let (listener, url) = listen().await;
    let routes = Router::new()
        .route("/told", any(told))
        .route("/gone", any(|| async { (StatusCode::GONE, "it is gone") }))
        .route("/empty", any(|| async { StatusCode::NO_CONTENT }))
        .route("/long", any(|| async { "x".repeat(1_001) }))
        .route("/never", any(std::future::pending::<()>))
        .route("/moved", any(|| async { Redirect::to("/told") }))
        .route(
            "/moved-as-it-is",
            any(|| async { Redirect::temporary("/told") }),
        )
        .route("/graphql", post(graphql));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn binding(kind: &str, pairs: &[(&str, &str)]) -> Arc<dyn OutputBinding> {
    let metadata = Metadata::new(pairs.iter().copied()).unwrap();
    let registry = Registry::default().with(trilby_components_http_binding::backends());
    let context = ComponentContext::default();
    match registry.create(kind, "v1", context, metadata).await {
        Ok(Instance::Binding(binding)) => binding.output.unwrap(),
        other => panic!("no binding: {other:?}"),
    }
}

async fn http(pairs: &[(&str, &str)]) -> Arc<dyn OutputBinding> {
    binding("bindings.http", pairs).await
}

async fn ask(
    binding: &Arc<dyn OutputBinding>,
    operation: &str,
    metadata: &[(&str, &str)],
) -> Result<Reply, BindingError> {
    let pairs = metadata.iter();
    let invocation = Invocation {
        operation: operation.to_owned(),
        data: Bytes::from("data"),
        metadata: pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    };
    binding.invoke(invocation).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.data.as_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn an_operation_is_a_request_and_its_answer() {
    let binding = http(&[("url", &server().await)]).await;
    let reply = ask(&binding, "post", &[("path", "told?a=b"), ("X-Own", "1")])
        .await
        .unwrap();
    let asked = json_of(&reply);
    assert_eq!(asked["method"], "POST");
    assert_eq!(
        (&asked["uri"], &asked["body"]),
        (&json!("/told?a=b"), &json!("data"))
    );
    assert_eq!(
        (&asked["own"], &asked["type"]),
        (&json!("1"), &json!("application/json; charset=utf-8"))
    );
    assert_eq!(reply.metadata["status"], "200 OK");
    assert_eq!(reply.metadata["Content-Type"], "application/json");
    assert_eq!(reply.content_type.as_deref(), Some("application/json"));
    let empty = ask(&binding, "get", &[("path", "empty")]).await.unwrap();
    assert_eq!(empty.data, Some(Bytes::new()));
}

#[tokio::test]
async fn a_status_that_is_no_success_is_an_error_with_the_answer() {
    let binding = http(&[("url", &server().await)]).await;
    let refused = ask(&binding, "get", &[("path", "gone")]).await;
    let Err(BindingError::Refused { error, reply }) = refused else {
        panic!("it is refused: {refused:?}");
    };
    assert_eq!(error, "received status code 410");
    assert_eq!(reply.data, Some(Bytes::from("it is gone")));
    let wanted = ask(
        &binding,
        "get",
        &[("path", "gone"), ("errorIfNot2XX", "false")],
    )
    .await;
    assert_eq!(wanted.unwrap().metadata["statusCode"], "410");
}

/// Upstream cuts it, and calls that success.
#[tokio::test]
async fn an_answer_that_is_too_large_is_an_error_not_cut() {
    let url = server().await + "/long";
    let small = http(&[("url", &url), ("maxResponseBodySize", "1k")]).await;
    let refused = ask(&small, "get", &[]).await.unwrap_err();
    assert!(
        matches!(refused, BindingError::Refused { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("1000 bytes"), "{refused}");
    let exact = http(&[("url", &url), ("maxResponseBodySize", "1001")]).await;
    let whole = ask(&exact, "get", &[]).await.unwrap();
    assert_eq!(whole.data.unwrap().len(), 1_001);
}

#[tokio::test]
async fn a_server_that_is_slow_or_gone_is_unavailable() {
    let url = server().await + "/never";
    let slow = http(&[("url", &url), ("responseTimeout", "50ms")]).await;
    let (listener, url) = listen().await;
    drop(listener);
    let gone = http(&[("url", &url)]).await;
    for binding in [slow, gone] {
        let failed = ask(&binding, "get", &[]).await;
        assert!(
            matches!(failed, Err(BindingError::Unavailable(_))),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_as_gos_client_does() {
    let binding = http(&[("url", &server().await)]).await;
    let moved = ask(&binding, "post", &[("path", "moved")]).await.unwrap();
    assert_eq!(json_of(&moved)["method"], "GET");
    let again = ask(&binding, "post", &[("path", "moved-as-it-is")])
        .await
        .unwrap();
    let asked = json_of(&again);
    assert_eq!(
        (&asked["method"], &asked["body"]),
        (&json!("POST"), &json!("data"))
    );
}

#[tokio::test]
async fn a_token_stays_with_its_server() {
    let other = server().await + "/told";
    let (listener, url) = listen().await;
    let to = other.clone();
    let routes = Router::new().route("/", any(move || async move { Redirect::temporary(&to) }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let secret = [
        ("securityToken", "secret"),
        ("securityTokenHeader", "X-Token"),
    ];
    let direct = http(&[&[("url", other.as_str())], &secret[..]].concat()).await;
    assert_eq!(
        json_of(&ask(&direct, "get", &[]).await.unwrap())["token"],
        "secret"
    );
    let redirected = http(&[&[("url", url.as_str())], &secret[..]].concat()).await;
    assert_eq!(
        json_of(&ask(&redirected, "get", &[]).await.unwrap())["token"],
        Value::Null
    );
}

struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

fn issued() -> Issued {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    Issued {
        certificate: params.signed_by(&key, &authority).unwrap().pem(),
        authority: authority.pem(),
        key: key.serialize_pem(),
    }
}

/// A server over TLS that wants a certificate of the same authority.
async fn secure_server(issued: &Issued) -> String {
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, server::WebPkiClientVerifier};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(issued.authority.as_bytes()).unwrap())
        .unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, _) = listen().await;
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut asked = [0; 1024];
            if stream.read(&mut asked).await.is_ok() {
                let answer =
                    b"HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                stream.write_all(answer).await.ok();
                stream.shutdown().await.ok();
            }
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn both_sides_prove_themselves_over_tls() {
    let issued = issued();
    let url = secure_server(&issued).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, &issued.key).unwrap();
    let authority = [("url", url.as_str()), ("mtlsRootCA", &issued.authority)];
    let client = [
        ("mtlsClientCert", issued.certificate.as_str()),
        ("mtlsClientKey", file.to_str().unwrap()),
    ];
    let trusted = http(&[&authority[..], &client[..]].concat()).await;
    let reply = ask(&trusted, "get", &[]).await.unwrap();
    assert_eq!(reply.metadata["status"], "200 Fine");
    for pairs in [&authority[..], &[&authority[..1], &client[..]].concat()] {
        let failed = ask(&http(pairs).await, "get", &[]).await;
        assert!(
            matches!(failed, Err(BindingError::Unavailable(_))),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn graphql_answers_with_data_or_an_error() {
    let endpoint = server().await + "/graphql";
    let binding = binding("bindings.graphql", &[("endpoint", &endpoint)]).await;
    let query = ("query", "query($name: String) { echo }");
    let given = [query, ("variable:name", "me"), ("header:X-Token", "secret")];
    let reply = ask(&binding, "query", &given).await.unwrap();
    let expected = json!({"echo": {"query": query.1, "variables": {"name": "me"}}});
    assert_eq!(json_of(&reply), expected);
    assert_eq!(reply.metadata["operation"], "query");
    assert!(reply.metadata.contains_key("duration"));
    let refused = ask(&binding, "query", &given[..2]).await.unwrap_err();
    assert!(refused.to_string().contains("who are you?"), "{refused}");
}
