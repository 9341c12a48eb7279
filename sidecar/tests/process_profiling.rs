//! The real binary's profiles and log level.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::cell::RefCell;

use http::StatusCode;
use prost::Message;
use trilby_testkit::eventually::{eventually, unexpected};
use trilby_testkit::http::{Client, Response};
use trilby_testkit::ports::Port;
use trilby_testkit::services::Daprd;

/// What is looked at of pprof's `Profile`.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(bytes = "vec", repeated, tag = "2")]
    samples: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    mappings: Vec<Mapping>,
    #[prost(string, repeated, tag = "6")]
    strings: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(int64, tag = "5")]
    file: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
}

/// A sidecar with the flag, and where its profiles are.
async fn profiled() -> (Daprd, Port) {
    let port = Port::free();
    let mut daprd = Daprd::new("profiled")
        .raw_arg("--enable-profiling")
        .arg("--profile-port", port.number());
    daprd.start().await;
    (daprd, port)
}

async fn get(port: &Port, path: &str) -> Response {
    let url = format!("http://{}{path}", port.address());
    Client::host().get(&url).await.unwrap()
}

async fn profile(port: &Port, name: &str) -> Profile {
    let response = get(port, &format!("/debug/pprof/{name}")).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
    assert_eq!(response.headers["content-type"], "application/octet-stream");
    let profile = Profile::decode(&*unwrapped(&response.body)).unwrap();
    assert!(!profile.samples.is_empty(), "{name} is empty");
    profile
}

/// What is in a gzip file of stored blocks.
fn unwrapped(mut gzip: &[u8]) -> Vec<u8> {
    assert_eq!(gzip[..4], [0x1f, 0x8b, 8, 0]);
    gzip = &gzip[10..];
    let mut data = Vec::new();
    loop {
        let (head, rest) = gzip.split_at(5);
        let len = usize::from(u16::from_le_bytes([head[1], head[2]]));
        data.extend(&rest[..len]);
        gzip = &rest[len..];
        if head[0] == 1 {
            assert_eq!(gzip[4..], (data.len() as u32).to_le_bytes());
            return data;
        }
    }
}

#[tokio::test]
async fn allocations_and_threads_are_profiled_and_name_the_binary() {
    let (mut daprd, port) = profiled().await;
    // So much that it is all but impossible that none of it is sampled: one byte in 512 Ki is.
    let large = "x".repeat(3 * 1024 * 1024);
    for key in 0..4 {
        let url = daprd.url(&format!("/v1.0/metadata/{key}"));
        let kept = Client::host().put(&url, &large).await.unwrap();
        assert_eq!(kept.status, StatusCode::NO_CONTENT, "{}", kept.text());
    }
    for name in ["heap", "allocs", "goroutine"] {
        let profile = profile(&port, name).await;
        let own = profile.mappings.iter().find(|mapping| {
            let file = &profile.strings[mapping.file as usize];
            file.ends_with("/daprd") && !profile.strings[mapping.build_id as usize].is_empty()
        });
        assert!(own.is_some(), "{name}: {:?}", profile.mappings);
    }
    let threads = profile(&port, "threadcreate").await;
    assert!(threads.strings.iter().any(|text| text == "thread admin"));
    assert!(daprd.stop().await.success());
}

#[tokio::test]
async fn a_profile_that_is_being_taken_ends_with_its_client_and_with_the_process() {
    let (mut daprd, port) = profiled().await;
    let url = format!("http://{}/debug/pprof/profile?seconds=300", port.address());
    let watch = || {
        let url = url.clone();
        tokio::spawn(async move { Client::host().get(&url).await.map(drop) })
    };
    let watching = RefCell::new(watch());
    eventually("a profile is being taken", async || {
        // It may have lost against the question whether it is being taken.
        if watching.borrow().is_finished() {
            *watching.borrow_mut() = watch();
        }
        let response = get(&port, "/debug/pprof/goroutine").await;
        assert_ne!(response.text(), "");
        is(StatusCode::INTERNAL_SERVER_ERROR, &response)
    })
    .await;
    watching.borrow().abort();
    eventually("the profile has ended", async || {
        is(StatusCode::OK, &get(&port, "/debug/pprof/goroutine").await)
    })
    .await;
    let open = watch();
    assert!(daprd.stop().await.success());
    open.abort();
}

fn is(status: StatusCode, response: &Response) -> anyhow::Result<()> {
    if response.status == status {
        return Ok(());
    }
    Err(unexpected(response.status))
}

#[tokio::test]
async fn without_the_flag_there_is_no_profiling_server() {
    let port = Port::free();
    let mut daprd = Daprd::new("plain").arg("--profile-port", port.number());
    daprd.start().await;
    let refused = tokio::net::TcpStream::connect(port.address()).await;
    assert!(refused.is_err());
    assert!(daprd.stop().await.success());
}

#[tokio::test]
async fn the_log_level_is_changed_by_request_and_by_signal() {
    let (mut daprd, port) = profiled().await;
    let level = |text: &str| format!("http://{}/log-level/{text}", port.address());
    let client = Client::host();
    let refused = client.put(&level("loud"), "").await.unwrap();
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("loud"), "{}", refused.text());
    let changed = client.put(&level("error"), "").await.unwrap();
    assert_eq!(changed.status, StatusCode::OK);
    daprd.log().wait_for("from=info").await;
    daprd.toggle_log_level();
    let line = daprd.log().wait_for("to=debug").await;
    assert!(line.contains("from=error"), "{line}");
    daprd.toggle_log_level();
    let line = daprd.log().wait_for("from=debug").await;
    assert!(line.contains("to=info"), "{line}");
    assert!(daprd.stop().await.success());
}
