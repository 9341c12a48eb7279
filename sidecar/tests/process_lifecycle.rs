//! The real binary from its first socket to its exit code: unix sockets, tokens, draining, deadlines.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use trilby_testkit::assert_eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(30);

/// An application whose `/slow` answers only when it is let.
struct App {
    port: u16,
    entered: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (enter, left) = (Arc::clone(&entered), Arc::clone(&leave));
        let slow = move || {
            let (enter, left) = (Arc::clone(&enter), Arc::clone(&left));
            async move {
                enter.add_permits(1);
                left.acquire().await.unwrap().forget();
                "done"
            }
        };
        let router = Router::new()
            .route("/slow", any(slow))
            .fallback(any(|| async { "here" }));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            entered,
            leave,
        }
    }

    /// Waits until a call is inside.
    async fn entered(&self) {
        let entered = tokio::time::timeout(END, self.entered.acquire()).await;
        entered.expect("in time").unwrap().forget();
    }

    fn let_go(&self) {
        self.leave.add_permits(1);
    }
}

/// One request over HTTP/1.1 on a stream of any kind; the head of the answer.
async fn over<S>(mut stream: S, request: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &str = "GET /v1.0/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn over_socket(path: &Path) -> Option<String> {
    let stream = UnixStream::connect(path).await.ok()?;
    Some(over(stream, HEALTH).await)
}

#[tokio::test]
async fn unix_sockets_replace_both_ports_and_are_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut daprd = Daprd::new("cart").arg("--unix-domain-socket", folder.path().display());
    daprd.launch();
    let http = folder.path().join("dapr-cart-http.socket");
    let grpc = folder.path().join("dapr-cart-grpc.socket");
    assert_eventually!(
        over_socket(&http)
            .await
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 204"))
    );
    // A gRPC server greets a client that speaks HTTP/2.
    let mut stream = UnixStream::connect(&grpc).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame: {frame:?}");
    drop(stream);
    for tcp in [daprd.http_address(), daprd.grpc_address()] {
        assert!(TcpStream::connect(tcp).await.is_err(), "{tcp} is open");
    }
    assert!(daprd.stop().await.success());
    assert!(!http.exists() && !grpc.exists());
}

async fn get(url: String) -> Option<Response> {
    Client::host().get(&url).await.ok()
}

#[tokio::test]
async fn call_that_was_accepted_is_answered_although_the_sidecar_is_told_to_end() {
    let app = App::start().await;
    let mut daprd = Daprd::new("a")
        .app_port(app.port)
        .arg("--dapr-graceful-shutdown-seconds", 30);
    daprd.start().await;
    let calling = tokio::spawn(get(daprd.url("/v1.0/invoke/a/method/slow")));
    app.entered().await;
    daprd.ask_to_end();
    // New callers find nobody, the one inside is still served.
    assert_eventually!(TcpStream::connect(daprd.http_address()).await.is_err());
    assert!(!calling.is_finished());
    app.let_go();
    let answer = calling.await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "done")
    );
    assert!(daprd.ended(END).await.success());
    assert!(daprd.log().text().contains("Daprd shutdown gracefully"));
}

#[tokio::test]
async fn call_between_two_sidecars_is_answered_although_the_callee_is_told_to_end() {
    let app = App::start().await;
    let mut b = Daprd::new("b")
        .app_port(app.port)
        .arg("--dapr-graceful-shutdown-seconds", 30);
    let a = Daprd::new("a");
    let configuration = a.file(
        "config.yaml",
        &format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  nameResolution:\n    \
             component: kubernetes\n    configuration:\n      template: '{}'\n",
            b.internal_address()
        ),
    );
    let mut a = a.arg("--config", configuration.display());
    tokio::join!(a.start(), b.start());
    let calling = tokio::spawn(get(a.url("/v1.0/invoke/b/method/slow")));
    app.entered().await;
    b.ask_to_end();
    assert_eventually!(TcpStream::connect(b.internal_address()).await.is_err());
    app.let_go();
    assert_eq!(calling.await.unwrap().unwrap().text(), "done");
    assert!(b.ended(END).await.success());
    let late = get(a.url("/v1.0/invoke/b/method/slow")).await.unwrap();
    assert_eq!(late.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn app_that_goes_first_costs_its_call_and_not_the_sidecar() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = tokio::spawn(async move {
        // The sidecar looks whether somebody listens, asks for the configuration, then calls.
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            if text.starts_with("GET /dapr/config") {
                let answer =
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            } else if text.starts_with("GET /gone") {
                return;
            }
        }
    });
    let mut daprd = Daprd::new("a").app_port(port);
    daprd.start().await;
    let lost = get(daprd.url("/v1.0/invoke/a/method/gone")).await.unwrap();
    app.await.unwrap();
    assert_eq!(lost.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(lost.json()["errorCode"], "ERR_DIRECT_INVOKE");
    assert_eq!(
        get(daprd.url("/v1.0/healthz")).await.unwrap().status,
        StatusCode::NO_CONTENT
    );
    assert!(daprd.stop().await.success());
}

#[tokio::test]
async fn grace_that_is_over_ends_the_process_as_failed() {
    let app = App::start().await;
    let mut daprd = Daprd::new("a")
        .app_port(app.port)
        .arg("--dapr-graceful-shutdown-seconds", 1);
    daprd.start().await;
    let calling = tokio::spawn(get(daprd.url("/v1.0/invoke/a/method/slow")));
    app.entered().await;
    daprd.ask_to_end();
    assert_eq!(daprd.ended(END).await.code(), Some(1));
    assert!(calling.await.unwrap().is_none());
    let log = daprd.log().text();
    assert!(
        log.contains("Graceful shutdown timeout exceeded, forcing shutdown"),
        "{log}"
    );
}

#[tokio::test]
async fn second_signal_ends_the_process_at_once() {
    let app = App::start().await;
    let mut daprd = Daprd::new("a")
        .app_port(app.port)
        .arg("--dapr-graceful-shutdown-seconds", 0);
    daprd.start().await;
    let calling = tokio::spawn(get(daprd.url("/v1.0/invoke/a/method/slow")));
    app.entered().await;
    daprd.ask_to_end();
    daprd.log().wait_for("has no time limit").await;
    daprd.ask_to_end();
    assert_eq!(daprd.ended(END).await.code(), Some(1));
    assert!(calling.await.unwrap().is_none());
}

#[tokio::test]
async fn blocked_shutdown_serves_until_its_time_is_over() {
    let app = App::start().await;
    let mut daprd = Daprd::new("a")
        .app_port(app.port)
        .arg("--dapr-block-shutdown-duration", "1s");
    daprd.start().await;
    daprd.ask_to_end();
    let log = daprd.log();
    log.wait_for("Blocking graceful shutdown for 1s or until app reports unhealthy...")
        .await;
    assert!(daprd.ended(END).await.success());
    let log = log.text();
    assert!(
        log.contains("Block shutdown period expired, entering shutdown..."),
        "{log}"
    );
}

#[tokio::test]
async fn tokens_in_a_file_come_and_go_while_the_sidecar_runs() {
    let daprd = Daprd::new("a");
    let file = daprd.file("tokens", "hunter1\n");
    let mut daprd = daprd
        .env("DAPR_API_TOKEN", "given")
        .env("DAPR_API_TOKEN_FILE", file.display());
    daprd.start().await;
    let status = async |token: &str| {
        let request =
            http::Request::get(daprd.url("/v1.0/metadata")).header("dapr-api-token", token);
        let request = request.body(bytes::Bytes::new()).unwrap();
        Client::host().request(request).await.unwrap().status
    };
    assert_eq!(status("given").await, StatusCode::OK);
    assert_eq!(status("hunter1").await, StatusCode::OK);
    assert_eq!(status("hunter2").await, StatusCode::UNAUTHORIZED);
    std::fs::write(&file, "hunter2\n").unwrap();
    assert_eventually!(status("hunter2").await == StatusCode::OK);
    assert_eq!(status("hunter1").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status("given").await, StatusCode::OK);
    assert!(!daprd.log().text().contains("hunter2"));
}

/// A request that asks for HTTP/2, and what a client says in it: a preface, no settings, that it goes.
const UPGRADE: &str = "GET /v1.0/healthz HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n\
                       upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n\
                       PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
                       \0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[tokio::test]
async fn a_client_of_the_http_api_may_go_on_in_http2() {
    let mut daprd = Daprd::new("a");
    daprd.start().await;
    let stream = TcpStream::connect(daprd.http_address()).await.unwrap();
    let answer = over(stream, UPGRADE).await;
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: h2c\r\n";
    assert!(answer.starts_with(head), "{answer}");
}

#[tokio::test]
async fn http2_without_tls_can_be_turned_off_on_the_http_api() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut daprd = Daprd::new("a").env("DAPR_HTTP_DISABLE_H2C", "true");
    daprd.start().await;
    let stream = TcpStream::connect(daprd.http_address()).await.unwrap();
    assert_eq!(over(stream, preface).await, "");
    for request in [HEALTH, UPGRADE] {
        let stream = TcpStream::connect(daprd.http_address()).await.unwrap();
        assert!(over(stream, request).await.starts_with("HTTP/1.1 204"));
    }
}

#[tokio::test]
async fn the_process_may_open_as_many_files_as_its_hard_limit_allows() {
    let mut daprd = Daprd::new("a").arg("--log-level", "debug");
    daprd.start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daprd.pid().unwrap())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let fields: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{limits}");
}

#[tokio::test]
async fn head_beyond_the_limit_is_refused_and_one_within_is_not() {
    let mut daprd = Daprd::new("a").arg("--read-buffer-size", "8Ki");
    daprd.start().await;
    let request = |size| {
        let filler = "x".repeat(size);
        HEALTH.replace("host: x", &format!("host: x\r\nfiller: {filler}"))
    };
    for (size, status) in [(8_000, "HTTP/1.1 204"), (16_000, "HTTP/1.1 431")] {
        let stream = TcpStream::connect(daprd.http_address()).await.unwrap();
        let answer = over(stream, &request(size)).await;
        assert!(answer.starts_with(status), "{size}: {answer}");
    }
}

#[tokio::test]
async fn wait_ends_when_the_sidecar_is_ready_for_outbound_calls() {
    let mut daprd = Daprd::new("a");
    daprd.start().await;
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_daprd"))
        .args([
            "--wait",
            "--dapr-http-port",
            &daprd.http_address().port().to_string(),
        ])
        .output();
    let output = tokio::time::timeout(END, output).await.unwrap().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is ready for outbound calls"), "{said}");
}

#[tokio::test]
async fn public_port_shows_health_and_metadata_and_lets_only_token_holders_write() {
    let mut daprd = Daprd::new("a").env("DAPR_API_TOKEN", "hunter1");
    daprd.start().await;
    let url = |path: &str| format!("http://{}{path}", daprd.public_address());
    let status = async |request: http::request::Builder| {
        let request = request.body(bytes::Bytes::new()).unwrap();
        Client::host().request(request).await.unwrap().status
    };
    for (path, expected) in [
        ("/v1.0/healthz", StatusCode::NO_CONTENT),
        ("/v1.0/healthz/outbound", StatusCode::NO_CONTENT),
        ("/v1.0/metadata", StatusCode::OK),
        ("/v1.0/state/store/key", StatusCode::NOT_FOUND),
        ("/v1.0/invoke/a/method/x", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(
            status(http::Request::get(url(path))).await,
            expected,
            "{path}"
        );
    }
    let put = || http::Request::put(url("/v1.0/metadata/key"));
    assert_eq!(status(put()).await, StatusCode::UNAUTHORIZED);
    let put = put().header("dapr-api-token", "hunter1");
    assert_eq!(status(put).await, StatusCode::NO_CONTENT);
}
