//! From HTTP/1.1 to HTTP/2 on one connection, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use super::patience_tests::connect;
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame of settings that are the defaults.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// `:method: POST`, `:scheme: http`, `:path: /who`.
const WHO: &[u8] = b"\x83\x86\x04\x04/who";
/// Lets 5 more bytes of stream 1 come.
const WINDOW_OF_STREAM_1: &[u8] = &[0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 5];
/// `:status: 200`.
const OK: u8 = 0x88;

const DATA_FRAME: u8 = 0;
const HEADERS_FRAME: u8 = 1;
const SETTINGS_FRAME: u8 = 4;
const GOAWAY_FRAME: u8 = 7;
const ACK: u8 = 1;

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn h2c(config: &mut ServeConfig) {
    config.protocols = Protocols::Http1AndH2c;
}

/// A request that asks for HTTP/2 with these settings.
fn asking(request: &str, settings: &str) -> String {
    format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
         http2-settings: {settings}\r\n"
    )
}

/// The head of the answer in HTTP/1.1.
async fn head(client: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn ask(client: &mut DuplexStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    head(client).await
}

async fn frame(client: &mut DuplexStream) -> Frame {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.read_exact(&mut payload).await.unwrap();
    Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    }
}

/// The next frame of that kind on that stream.
async fn next(client: &mut DuplexStream, (kind, stream): (u8, u32)) -> Frame {
    loop {
        let frame = frame(client).await;
        assert_ne!(frame.kind, GOAWAY_FRAME, "{frame:?}");
        if (frame.kind, frame.stream) == (kind, stream) {
            return frame;
        }
    }
}

/// A request of its own, in HTTP/2 from the start.
async fn ask_who(client: &mut DuplexStream, stream: u32) {
    let mut request = vec![0, 0, WHO.len() as u8, HEADERS_FRAME, 5];
    request.extend(stream.to_be_bytes());
    request.extend(WHO);
    client.write_all(&request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_request_that_asks_is_the_first_answered_in_http2_and_others_follow() {
    let mut client = connect(h2c);
    let long = "v".repeat(300);
    let request = asking("POST /echo?a=1", "AAMAAABk") + &format!("long: {long}\r\n\r\n");
    let answer = ask(&mut client, &request).await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("connection: Upgrade\r\nupgrade: h2c\r\n"),
        "{answer}"
    );
    client
        .write_all(&[PREFACE, SETTINGS].concat())
        .await
        .unwrap();
    let answer = next(&mut client, (HEADERS_FRAME, 1)).await;
    assert_eq!(answer.payload[0], OK);
    for stream in [3, 5] {
        ask_who(&mut client, stream).await;
        let answer = next(&mut client, (HEADERS_FRAME, stream)).await;
        assert_eq!(answer.payload[0], OK);
    }
}

#[tokio::test(start_paused = true)]
async fn settings_in_the_request_hold_and_are_acknowledged_with_those_of_the_preface() {
    let mut client = connect(h2c);
    // SETTINGS_INITIAL_WINDOW_SIZE = 0: no body until the stream's window grows.
    let request = asking("POST /hello", "AAQAAAAA") + "\r\n";
    assert!(ask(&mut client, &request).await.contains(" 101 "));
    client
        .write_all(&[PREFACE, SETTINGS].concat())
        .await
        .unwrap();
    let mut seen = Vec::new();
    while let Ok(frame) = timeout(Duration::from_secs(5), frame(&mut client)).await {
        seen.push((frame.kind, frame.flags & ACK, frame.stream));
    }
    let acknowledged = |frame: &&(u8, u8, u32)| **frame == (SETTINGS_FRAME, ACK, 0);
    assert_eq!(seen.iter().filter(acknowledged).count(), 1, "{seen:?}");
    assert!(seen.contains(&(HEADERS_FRAME, 0, 1)), "{seen:?}");
    assert!(
        !seen.iter().any(|(kind, ..)| *kind == DATA_FRAME),
        "{seen:?}"
    );
    client.write_all(WINDOW_OF_STREAM_1).await.unwrap();
    let body = next(&mut client, (DATA_FRAME, 1)).await;
    assert_eq!(body.payload, b"hello");
}

#[tokio::test(start_paused = true)]
async fn a_head_longer_than_a_frame_arrives_whole() {
    let mut client = connect(|config| {
        h2c(config);
        config.max_head = 64 * 1024;
    });
    let long = "v".repeat(40_000);
    let request = asking("POST /echo", "") + &format!("long: {long}\r\n\r\n");
    assert!(ask(&mut client, &request).await.contains(" 101 "));
    client
        .write_all(&[PREFACE, SETTINGS].concat())
        .await
        .unwrap();
    let answer = next(&mut client, (HEADERS_FRAME, 1)).await;
    assert_eq!(answer.payload[0], OK);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_change_is_answered_in_http1() {
    let with_body = asking("POST /echo", "") + "content-length: 2\r\n\r\nhi";
    let bad_settings = asking("POST /echo", "AAM") + "\r\n";
    let two_settings = asking("POST /echo", "") + "http2-settings:\r\n\r\n";
    let not_named = asking("POST /echo", "").replace(", HTTP2-Settings", "") + "\r\n";
    let another = asking("POST /echo", "").replace("h2c", "websocket") + "\r\n";
    for request in [with_body, bad_settings, two_settings, not_named, another] {
        let answer = ask(&mut connect(h2c), &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{request}: {answer}");
    }
    let request = asking("POST /echo", "") + "\r\n";
    for protocols in [Protocols::Http1, Protocols::Http1AndHttp2] {
        let mut client = connect(|config| config.protocols = protocols);
        assert!(ask(&mut client, &request).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_and_then_says_something_else_or_nothing_is_dropped() {
    let request = asking("POST /echo", "") + "\r\n";
    let long_settings = [PREFACE, &[0, 0xff, 0xff, 4, 0, 0, 0, 0, 0]].concat();
    for said in [
        &b"GET / HTTP/1.1\r\nhost: something else\r\n\r\n"[..],
        &long_settings,
        b"PRI",
    ] {
        let mut client = connect(h2c);
        assert!(ask(&mut client, &request).await.contains(" 101 "));
        client.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "{said:?}");
    }
}
