//! Applications that break off, lie, hang, or answer too much.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};

/// Reads a request's head.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    String::from_utf8(text).ok()
}

/// Answers each request with the same bytes and closes the connection. What asks for the sidecar's configuration gets
/// none.
async fn answering(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let Some(head) = head(&mut stream).await else {
                    return;
                };
                let none =
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let answer = if head.contains("/dapr/") {
                    &none[..]
                } else {
                    &bytes
                };
                drop(stream.write_all(answer).await);
                drop(stream.shutdown().await);
            });
        }
    });
    address
}

/// A caller, and a callee whose application is `app`.
async fn pair(app: SocketAddr) -> (Sidecar, Sidecar) {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let b = Settings::new("b").app(app).sentry(&sentry);
    let b = Sidecar::start(b, &directory).await;
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    (a, b)
}

async fn message_of(sidecar: &Sidecar, path: &str) -> String {
    let response = sidecar.get(path).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    response.json()["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn body_shorter_than_announced_counts_as_whole() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n\"ok\"";
    let (a, b) = pair(answering(answer.to_vec()).await).await;
    for sidecar in [&a, &b] {
        let response = sidecar.get("/v1.0/invoke/b/method/stale").await;
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.text(), "\"ok\"");
    }
}

#[tokio::test]
async fn body_that_breaks_off_within_a_chunk_is_no_whole_answer() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n9\r\nan";
    let (a, b) = pair(answering(answer.to_vec()).await).await;
    for sidecar in [&a, &b] {
        let client: hyper_util::client::legacy::Client<_, Body> =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http();
        let request = Request::get(sidecar.url("/v1.0/invoke/b/method/broken"))
            .body(Body::empty())
            .unwrap();
        let whole = async {
            client
                .request(request)
                .await?
                .into_body()
                .collect()
                .await
                .map_err(Into::into)
        };
        let whole: Result<_, Box<dyn std::error::Error>> = whole.await;
        assert!(whole.is_err(), "{whole:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error_and_no_hang() {
    for answer in [
        &b"nonsense\r\n\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ] {
        let (a, b) = pair(answering(answer.to_vec()).await).await;
        let local = message_of(&b, "/v1.0/invoke/b/method/x").await;
        assert!(
            local.starts_with("failed to invoke, id: b, err: Get \"http://127.0.0.1:"),
            "{local}"
        );
        let remote = message_of(&a, "/v1.0/invoke/b/method/x").await;
        let start = "failed to invoke, id: b, err: rpc error: code = Internal desc = error invoking app channel: Get";
        assert!(remote.starts_with(start), "{remote}");
    }
}

#[tokio::test]
async fn response_head_over_the_limit_is_an_error_that_names_the_flag() {
    let mut answer = b"HTTP/1.1 200 OK\r\nx-bomb: ".to_vec();
    answer.extend([b'x'; 8000]);
    answer.extend(b"\r\ncontent-length: 0\r\n\r\n");
    let (_, b) = pair(answering(answer).await).await;
    let message = message_of(&b, "/v1.0/invoke/b/method/x").await;
    assert!(
        message.contains("bytes, 4096 are allowed (see --read-buffer-size)"),
        "{message}"
    );
}

#[tokio::test]
async fn connection_that_the_application_closed_is_not_used_again() {
    // Promises to keep connections, closes each after one answer, and tells when the sidecar has noticed.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut noticed) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let Some(head) = head(&mut stream).await else {
                    return;
                };
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                drop(stream.write_all(answer).await);
                drop(stream.shutdown().await);
                drop(stream.read_to_end(&mut Vec::new()).await);
                if head.contains("/called") {
                    tell.send(()).unwrap();
                }
            });
        }
    });
    let (_, b) = pair(address).await;
    for _ in 0..20 {
        let response = b.post("/v1.0/invoke/b/method/called", "").await;
        assert_eq!(response.status, StatusCode::OK, "{}", response.text());
        let noticed = tokio::time::timeout(Duration::from_secs(20), noticed.recv()).await;
        assert_eq!(noticed.expect("the sidecar closes its end"), Some(()));
    }
}

#[tokio::test]
async fn caller_that_gives_up_frees_the_place_of_its_call() {
    // The first call hangs for ever, further ones are answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(head) = head(&mut stream).await else {
                continue;
            };
            if head.contains("/hang") {
                kept.push(stream);
                arrived.send(()).await.unwrap();
                continue;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            drop(stream.write_all(answer).await);
        }
    });
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let b = Settings::new("b").app(address).sentry(&sentry);
    let b = Sidecar::start(b.flags(&["--app-max-concurrency=1"]), &directory).await;
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    for sidecar in [&a, &b] {
        let hanging = sidecar.get("/v1.0/invoke/b/method/hang");
        let gave_up = async { arrivals.recv().await };
        tokio::select! {
            response = hanging => panic!("answered: {}", response.text()),
            Some(()) = gave_up => {}
        }
        let next = sidecar.get("/v1.0/invoke/b/method/next");
        let next = tokio::time::timeout(Duration::from_secs(20), next).await;
        assert_eq!(next.expect("the place is free").status, StatusCode::OK);
    }
}
