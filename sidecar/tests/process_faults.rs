//! The real binary under clients that mean harm, or are merely slow: others are served, memory stays bounded.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::any;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trilby_testkit::http::Client;
use trilby_testkit::services::Daprd;

/// Clients that never finish their request.
const SLOW: usize = 10_000;
/// What one of them may cost, in bytes.
const EACH: u64 = 32 << 10;
/// A body that is far larger than what may stay of it.
const LARGE: usize = 100 << 20;
/// In such parts the application sends it.
const PART: usize = 64 << 10;
/// What of a large body may be in memory at once, in bytes.
const KEPT: u64 = 24 << 20;
/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory of a process that is not of its files, in bytes, and the most that was resident.
fn memory(daprd: &Daprd) -> (u64, u64) {
    let path = format!("/proc/{}/status", daprd.pid().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("RssAnon:") << 10, kib("VmHWM:") << 10)
}

async fn is_served(daprd: &Daprd) -> bool {
    let answer = timeout(LIMIT, Client::host().get(&daprd.url("/v1.0/metadata"))).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == StatusCode::OK))
}

/// Connections that sent the beginning of `request` and no more.
async fn slow_clients(address: SocketAddr, request: &[u8]) -> Vec<TcpStream> {
    let connect = async |_| {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        std::io::Result::Ok(stream)
    };
    let clients = stream::iter(0..SLOW).map(connect).buffer_unordered(64);
    timeout(LIMIT, clients.try_collect())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn ten_thousand_slow_clients_cost_little_and_keep_nobody_out() {
    let mut daprd = Daprd::new("cart");
    daprd.start().await;
    assert!(is_served(&daprd).await);
    let (before, _) = memory(&daprd);
    let head = b"POST /v1.0/invoke/other/method/x HTTP/1.1\r\nhost: a\r\nx-slow: ";
    let mut clients = slow_clients(daprd.http_address(), head).await;
    assert!(is_served(&daprd).await);
    let (during, _) = memory(&daprd);
    let each = during.saturating_sub(before) / SLOW as u64;
    assert!(each <= EACH, "a slow client costs {each} bytes");
    // Heads that do not end within their time end their connection.
    let (mut first, mut last) = (clients.remove(0), clients.pop().unwrap());
    for stream in [&mut first, &mut last] {
        let closed = timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await;
        closed.expect("a connection without request is closed").ok();
    }
    drop(clients);
    assert!(is_served(&daprd).await);
}

#[tokio::test]
async fn heads_without_end_are_refused_and_forgotten() {
    let mut daprd = Daprd::new("cart");
    daprd.start().await;
    let (before, _) = memory(&daprd);
    let bomb = async |number: usize| {
        let mut stream = TcpStream::connect(daprd.http_address()).await.unwrap();
        let line = format!("x-{number}: {}\r\n", "a".repeat(8_000));
        let first = b"GET /v1.0/metadata HTTP/1.1\r\n";
        stream.write_all(first).await.unwrap();
        for _ in 0..200 {
            // The server may have hung up already.
            if stream.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        read.expect("the connection is closed").ok();
        // A reset may overtake the answer.
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
            "{answer:?}"
        );
    };
    stream::iter(0..200)
        .map(bomb)
        .buffer_unordered(50)
        .count()
        .await;
    assert!(is_served(&daprd).await);
    let (after, _) = memory(&daprd);
    assert!(
        after.saturating_sub(before) < KEPT,
        "{before} became {after} bytes"
    );
}

/// Counts the bytes that it gets at `/count`, and answers `/bytes` with [`LARGE`] of them.
async fn app() -> u16 {
    let count = async |body: Body| {
        let length = body
            .into_data_stream()
            .fold(0, async |length, part| length + part.unwrap().len());
        length.await.to_string()
    };
    let bytes = async || {
        let parts =
            stream::iter(0..LARGE / PART).map(|_| std::io::Result::Ok(Bytes::from(vec![7; PART])));
        Body::from_stream(parts)
    };
    let router = Router::new()
        .route("/count", any(count))
        .route("/bytes", any(bytes));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

/// Two sidecars that let large bodies pass; the first finds the second, which has the application.
async fn pair() -> (Daprd, Daprd) {
    let callee = Daprd::new("callee").arg("--max-body-size", "200Mi");
    let resolution = format!(
        "{{component: kubernetes, configuration: {{template: '{}'}}}}",
        callee.internal_address()
    );
    let mut callee = callee.app_port(app().await);
    let caller = Daprd::new("caller").arg("--max-body-size", "200Mi");
    let configuration = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: c}}\nspec: {{nameResolution: {resolution}}}\n"
    );
    let configuration = caller.file("config.yaml", &configuration);
    let mut caller = caller.arg("--config", configuration.display());
    tokio::join!(caller.start(), callee.start());
    (caller, callee)
}

#[tokio::test]
async fn large_bodies_flow_through_two_sidecars_in_constant_memory() {
    let (caller, callee) = pair().await;
    let peaks = || [&caller, &callee].map(|daprd| memory(daprd).1);
    let before = peaks();
    let upload = async {
        let mut stream = TcpStream::connect(caller.http_address()).await.unwrap();
        let head = format!(
            "POST /v1.0/invoke/callee/method/count HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-length: {LARGE}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..LARGE / PART {
            stream.write_all(&[7; PART]).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(LIMIT, upload).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&LARGE.to_string()), "{answer}");
    let download = async {
        let mut stream = TcpStream::connect(caller.http_address()).await.unwrap();
        let head =
            "GET /v1.0/invoke/callee/method/bytes HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink())
            .await
            .unwrap()
    };
    let read = timeout(LIMIT, download).await.unwrap();
    assert!(read > LARGE as u64, "{read} bytes came");
    for (before, after) in before.into_iter().zip(peaks()) {
        let kept = after - before;
        assert!(kept < KEPT, "{kept} bytes were in memory at once");
    }
}
