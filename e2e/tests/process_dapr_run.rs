//! A sidecar with the flags that the command-line tool's `dapr run` gives it, beside sentry and placement, and what
//! `dapr run`, `dapr list`, `dapr invoke` and `dapr stop` then ask of it.
//!
//! The tool itself is no part of this test: it cannot be had as a module, and takes four minutes to build.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use trilby_testkit::eventually::{eventually, unexpected};
use trilby_testkit::http::Client;
use trilby_testkit::services::{Daprd, Placement, Sentry};

/// As `dapr init --slim` writes it, but with names that this machine resolves by itself.
const CONFIGURATION: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: daprConfig\n\
                             spec:\n  nameResolution: {component: nameformat, configuration: {format: '{appid}.localhost'}}\n";
const MTLS: &str = "  mtls: {enabled: true}\n";

/// What `dapr run` writes into the metadata, for `dapr list` and `dapr stop` to read.
const NOTES: [(&str, &str); 4] = [
    ("cliPID", "4711"),
    ("appPID", "4712"),
    ("appCommand", "python3 app.py --port 80"),
    ("runTemplatePath", "/home/me/dapr.yaml"),
];

/// A sidecar as `dapr run` starts it. It finds everything in the layout that `dapr init --slim` leaves.
fn run(app: SocketAddr, placement: &Placement, configuration: &str) -> Daprd {
    let daprd = Daprd::new("run");
    let configuration = daprd.file("config.yaml", configuration);
    let components = configuration.with_file_name("components");
    std::fs::create_dir(&components).expect("the directory is writable");
    let flags = [
        ("--config", configuration.display().to_string()),
        ("--app-protocol", "http".to_owned()),
        ("--log-level", "info".to_owned()),
        ("--app-max-concurrency", "-1".to_owned()),
        (
            "--placement-host-address",
            placement.grpc_address().to_string(),
        ),
        ("--components-path", components.display().to_string()),
        ("--max-body-size", "4Mi".to_owned()),
        ("--read-buffer-size", "4Ki".to_owned()),
        ("--app-port", app.port().to_string()),
        ("--profile-port", "-1".to_owned()),
    ];
    // The tool writes flag and value as two arguments.
    flags.iter().fold(daprd, |daprd, (flag, value)| {
        daprd.raw_arg(flag).raw_arg(value)
    })
}

/// An application that answers what it was asked.
async fn app() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    (listener, address)
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
        tokio::spawn(served);
    }
}

async fn echo(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let said = format!(
        "{} {} {:?}",
        head.method,
        head.uri,
        body.unwrap_or_default()
    );
    Ok(http::Response::new(Full::new(said.into())))
}

/// Writes what the tool notes, as it does once the sidecar answers.
async fn note(daprd: &Daprd) {
    for (key, value) in NOTES {
        let url = daprd.url(&format!("/v1.0/metadata/{key}"));
        let request = http::Request::put(url).body(Bytes::from(value));
        let request = request.expect("it is a request");
        let answer = Client::host().request(request).await;
        let answer = answer.expect("the sidecar answers");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

async fn metadata(daprd: &Daprd) -> Value {
    let answer = Client::host().get(&daprd.url("/v1.0/metadata")).await;
    answer.expect("the sidecar answers").json()
}

async fn connected_to_placement(daprd: &Daprd) {
    eventually("the sidecar is connected to placement", async || {
        let actors = metadata(daprd).await["actorRuntime"].take();
        if actors["placement"] == "placement: connected" {
            return Ok(());
        }
        Err(unexpected(&actors))
    })
    .await;
}

/// The process as `dapr list` finds it: by its name, with the flags it was given.
fn assert_listed(daprd: &Daprd) {
    let process = format!("/proc/{}", daprd.pid().expect("it runs"));
    let read = |file| std::fs::read_to_string(format!("{process}/{file}")).expect("it runs");
    assert_eq!(read("comm"), "daprd\n");
    let line = read("cmdline");
    let arguments: Vec<&str> = line.split('\0').collect();
    let port = format!("--dapr-http-port={}", daprd.http_address().port());
    assert!(arguments.contains(&port.as_str()), "{arguments:?}");
    assert!(arguments.contains(&"--app-id=run"), "{arguments:?}");
}

#[tokio::test]
async fn a_sidecar_serves_what_the_tools_commands_ask_and_ends_when_it_is_told() {
    let (mut placement, (listener, address)) = (Placement::new(), app().await);
    placement.start().await;
    let mut daprd = run(address, &placement, CONFIGURATION);
    daprd.launch();
    // The tool starts the application beside the sidecar, which waits for it.
    tokio::spawn(serve(listener));
    daprd.healthy().await;
    note(&daprd).await;
    connected_to_placement(&daprd).await;
    let metadata = metadata(&daprd).await;
    for (key, value) in NOTES {
        assert_eq!(metadata["extended"][key], json!(value));
    }
    assert_listed(&daprd);
    let url = daprd.url("/v1.0/invoke/run/method/hello");
    let answer = Client::host().post(&url, "1").await;
    assert_eq!(
        answer.expect("the sidecar answers").text(),
        r#"POST /hello b"1""#
    );
    assert!(daprd.stop().await.success());
}

#[tokio::test]
async fn on_unix_sockets_invoke_finds_it_by_the_apps_name() {
    let (mut placement, (listener, address)) = (Placement::new(), app().await);
    placement.start().await;
    tokio::spawn(serve(listener));
    let daprd = run(address, &placement, CONFIGURATION);
    let sockets = daprd.file("here", "").with_file_name("");
    let socket = sockets.join("dapr-run-http.socket");
    // `dapr stop` kills the sidecar once it got its signal, so that a socket may be left.
    drop(UnixListener::bind(&socket).expect("the directory is writable"));
    let mut daprd = daprd
        .raw_arg("--unix-domain-socket")
        .raw_arg(&sockets.display().to_string());
    daprd.launch();
    let invoked = eventually("the sidecar answers on its socket", async || {
        invoke_over(&socket).await
    })
    .await;
    assert_eq!(invoked, r#"POST /hello b"1""#);
    assert!(daprd.stop().await.success());
    assert!(!socket.exists());
}

async fn invoke_over(socket: &Path) -> anyhow::Result<String> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::post("/v1.0/invoke/run/method/hello")
        .header("host", "localhost")
        .body(Full::new(Bytes::from("1")))?;
    let answer = sender.send_request(request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Where mTLS is on in the Configuration, the tool adds `--enable-mtls` and the address of a local sentry; the anchors
/// come from the user's environment.
#[tokio::test]
async fn with_mtls_it_has_its_identity_of_sentry_and_placement_knows_it() {
    let (mut sentry, (listener, address)) = (Sentry::new(), app().await);
    let authority = sentry.file("sentry.yaml", SENTRY);
    let anchors = authority.with_file_name("ca.crt");
    let folder = authority.with_file_name("");
    sentry = sentry
        .arg("--issuer-credentials", folder.display())
        .arg("--config", authority.display());
    sentry.start().await;
    let mut placement = Placement::new()
        .raw_arg("--tls-enabled")
        .arg("--trust-anchors-file", anchors.display())
        .arg("--sentry-address", sentry.grpc_address())
        .env("NAMESPACE", "default");
    placement.start().await;
    tokio::spawn(serve(listener));
    let anchors = std::fs::read_to_string(anchors).expect("sentry wrote its anchors");
    let mut daprd = run(address, &placement, &format!("{CONFIGURATION}{MTLS}"))
        .raw_arg("--enable-mtls")
        .raw_arg("--sentry-address")
        .raw_arg(&sentry.grpc_address().to_string())
        .env("DAPR_TRUST_ANCHORS", anchors);
    daprd.start().await;
    connected_to_placement(&daprd).await;
    let log = daprd.log().text();
    assert!(log.contains("spiffe://public/ns/default/run"), "{log}");
    assert!(daprd.stop().await.success());
}

const SENTRY: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: daprsystem\n\
                      spec:\n  mtls: {enabled: true}\n";
