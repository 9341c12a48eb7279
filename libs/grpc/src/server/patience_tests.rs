//! How long clients may take, in virtual time over pipes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::routes;

const HOUR: Duration = Duration::from_secs(3600);
const REQUEST: &[u8] = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";

/// The client's end of a connection to a server of its own.
pub(super) fn connect(change: impl FnOnce(&mut ServeConfig)) -> DuplexStream {
    let mut config = ServeConfig {
        protocols: Protocols::Http1AndHttp2,
        ..ServeConfig::new("test")
    };
    change(&mut config);
    let server = Arc::new(Server {
        tls: None,
        handshakes: Semaphore::new(1),
        http: Http::new(&config),
        service: routes(),
        cancel: CancellationToken::new(),
        config,
    });
    let (client, stream) = tokio::io::duplex(256 * 1024);
    let peer = PeerIdentity {
        spiffe: None,
        addr: None,
    };
    tokio::spawn(async move { server.http(stream, peer).await });
    client
}

async fn ask(client: &mut DuplexStream) -> String {
    client.write_all(REQUEST).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhi") {
        assert!(client.read_buf(&mut answer).await.unwrap() > 0);
    }
    String::from_utf8(answer).unwrap()
}

/// How long the server leaves the connection open from now on, and what it says in this time.
async fn rest(client: &mut DuplexStream) -> (Duration, String) {
    let (began, mut rest) = (Instant::now(), Vec::new());
    client.read_to_end(&mut rest).await.unwrap();
    (began.elapsed(), String::from_utf8_lossy(&rest).into_owned())
}

/// Timers tick in milliseconds.
fn about(time: Duration, expected: Duration) -> bool {
    time >= expected && time < expected + Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn connection_may_rest_between_requests() {
    let mut client = connect(|_| {});
    for _ in 0..3 {
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200"));
        sleep(HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_says_nothing_is_dropped() {
    let (time, _) = rest(&mut connect(|_| {})).await;
    assert!(about(time, Duration::from_secs(10)), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_dropped_whether_it_is_the_first_or_a_later_one() {
    let mut client = connect(|_| {});
    client.write_all(b"GET /echo HT").await.unwrap();
    let (time, _) = rest(&mut client).await;
    assert!(about(time, Duration::from_secs(10)), "{time:?}");

    let mut client = connect(|_| {});
    ask(&mut client).await;
    sleep(HOUR).await;
    client.write_all(b"GET /echo HT").await.unwrap();
    // A byte now and then does not help.
    sleep(Duration::from_secs(6)).await;
    client.write_all(b"T").await.unwrap();
    let (time, _) = rest(&mut client).await;
    assert!(about(time, Duration::from_secs(4)), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn body_may_take_its_time() {
    let mut client = connect(|_| {});
    let (head, body) = REQUEST.split_at(REQUEST.len() - 2);
    client.write_all(head).await.unwrap();
    sleep(HOUR).await;
    client.write_all(body).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_only_where_idleness_is_bounded() {
    let limit = Duration::from_secs(180);
    let mut client = connect(|config| config.max_idle = Some(limit));
    sleep(Duration::from_secs(5)).await;
    ask(&mut client).await;
    let (time, _) = rest(&mut client).await;
    assert!(about(time, limit), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn head_beyond_the_limit_is_answered_as_such() {
    let mut client = connect(|config| config.max_head = 4096);
    let head = format!(
        "GET /echo HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n",
        "x".repeat(5000)
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (_, answer) = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn other_version_of_http_is_refused() {
    let mut client = connect(|config| config.protocols = Protocols::Http1);
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(rest(&mut client).await.1, "");
    let mut client = connect(|config| config.protocols = Protocols::Http2);
    client.write_all(REQUEST).await.unwrap();
    let (_, answer) = rest(&mut client).await;
    assert!(!answer.contains("HTTP/1"), "{answer}");
}
