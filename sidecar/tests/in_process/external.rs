//! Targets outside Dapr: addresses, and HTTPEndpoints.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, StatusCode};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::app;
use crate::sidecar::{Directory, Settings, Sidecar};

/// A sidecar with a token for its application.
async fn sidecar() -> Sidecar {
    let settings = Settings::new("a").app(app::start().await);
    let settings =
        settings.environment(|environment| environment.app_token = "app-token".to_owned());
    Sidecar::start(settings, &Directory::default()).await
}

#[tokio::test]
async fn address_is_called_without_the_applications_token() {
    let (a, outside) = (sidecar().await, app::start().await);
    let path = format!("/v1.0/invoke/http://{outside}/method/orders//1?q=1");
    let request = Request::post(a.url(&path))
        .header("x-custom", "1")
        .header("dapr-caller-app-id", "forged");
    let response = a.request(request, "{}").await;
    assert_eq!(response.status, StatusCode::OK);
    let seen = response.json();
    assert_eq!(seen["path"], "/orders/1");
    assert_eq!(seen["query"], "q=1");
    assert_eq!(seen["body"], "{}");
    let headers = &seen["headers"];
    assert_eq!(headers["x-custom"][0], "1");
    for absent in ["dapr-api-token", "dapr-caller-app-id", "destination-app-id"] {
        assert_eq!(headers.get(absent), None, "{absent}");
    }
    let own = a.get("/v1.0/invoke/a/method/own").await.json();
    assert_eq!(own["headers"]["dapr-api-token"][0], "app-token");
}

#[tokio::test]
async fn address_may_stand_in_the_header() {
    let (a, outside) = (sidecar().await, app::start().await);
    let request =
        Request::get(a.url("/orders")).header("dapr-app-id", format!("http://{outside}/base"));
    let seen = a.request(request, "").await.json();
    assert_eq!(seen["path"], "/base/orders");
}

#[tokio::test]
async fn status_of_an_address_passes_unchanged_and_redirects_are_not_followed() {
    let (a, outside) = (sidecar().await, app::start().await);
    for code in [204, 302, 404, 503] {
        let path = format!("/v1.0/invoke/http://{outside}/method/status/{code}");
        assert_eq!(a.get(&path).await.status.as_u16(), code);
    }
}

#[tokio::test]
async fn address_where_nobody_listens_is_an_error_that_says_so() {
    let a = sidecar().await;
    let response = a.get("/v1.0/invoke/http://127.0.0.1:1/method/x").await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = response.json()["message"].as_str().unwrap().to_owned();
    let start = "failed to invoke, id: http://127.0.0.1:1, err: Get \"http://127.0.0.1:1/x\": Connection refused";
    assert!(message.starts_with(start), "{message}");
}

/// An HTTPS server with a certificate that nobody vouches for.
async fn self_signed() -> SocketAddr {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(trilby_identity::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = TlsAcceptor::from(Arc::new(config.clone()));
            tokio::spawn(async move {
                // Refused by the client, as it should be; or else answered, and the test fails.
                let Ok(mut stream) = tls.accept(stream).await else {
                    return;
                };
                drop(stream.read(&mut [0; 1024]).await);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(answer).await);
            });
        }
    });
    address
}

#[tokio::test]
async fn certificate_of_an_address_is_verified_even_if_the_applications_is_not() {
    let settings = Settings::new("a").flags(&["--app-protocol=https"]);
    let a = Sidecar::start(settings, &Directory::default()).await;
    let port = self_signed().await.port();
    let response = a
        .get(&format!("/v1.0/invoke/https://localhost:{port}/method/x"))
        .await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    let message = response.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("invalid peer certificate"), "{message}");
}

#[tokio::test]
async fn hosts_outside_are_called_over_the_proxy_that_the_environment_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        client.write_all(answer).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let settings = Settings::new("a").environment(|environment| {
        environment.proxies.http = format!("http://me:secret@{proxy}");
    });
    let a = Sidecar::start(settings, &Directory::default()).await;
    let path = "/v1.0/invoke/http://web.example/method/orders";
    assert_eq!(a.get(path).await.text(), "hi");
    let head = asked.await.unwrap();
    let first = "GET http://web.example/orders HTTP/1.1\r\n";
    assert!(head.starts_with(first), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("proxy-authorization: basic "), "{head}");
}
