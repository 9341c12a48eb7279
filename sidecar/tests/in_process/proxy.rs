//! Calls to services that sidecars do not know, passed on as they are.

use futures_util::future::join_all;

use crate::grpc_echo::{self, Call, Echo, Next, channel, message};
use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};

/// A caller without an application, and a callee with the service.
async fn pair() -> (Sidecar, Sidecar, Echo) {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let echo = grpc_echo::start().await;
    let b = Settings::new("b").app(echo.address).sentry(&sentry);
    let b = b.flags(&["--app-protocol=grpc", "--max-body-size=64Ki"]);
    let b = Sidecar::start(b, &directory).await;
    let a = Settings::new("a")
        .sentry(&sentry)
        .flags(&["--max-body-size=64Ki"]);
    (Sidecar::start(a, &directory).await, b, echo)
}

#[tokio::test]
async fn stream_flows_both_ways_message_by_message_and_ends_with_its_trailers() {
    let (a, b, _echo) = pair().await;
    for sidecar in [&a, &b] {
        let mut call = Call::open(channel(sidecar.grpc), "b", "Echo").await;
        assert_eq!(call.headers["x-custom"], "seen");
        for text in ["one", "two"] {
            call.send.send(Ok(message(text.as_bytes()))).await.unwrap();
            assert_eq!(call.next().await, Next::Data(message(text.as_bytes())));
        }
        call.finish();
        let Next::Trailers(trailers) = call.next().await else {
            panic!("trailers come last");
        };
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-trailer"], "passed");
        assert_eq!(call.next().await, Next::End);
    }
}

#[tokio::test]
async fn status_of_the_application_arrives_with_its_details() {
    let (a, b, _echo) = pair().await;
    for sidecar in [&a, &b] {
        let mut call = Call::open(channel(sidecar.grpc), "b", "Refuse").await;
        assert_eq!(call.status().await, ("9".to_owned(), "not now".to_owned()));
        assert_eq!(call.headers["grpc-status-details-bin"], "CAkSB25vdCBub3c");
    }
}

#[tokio::test]
async fn stream_that_the_application_breaks_ends_with_a_status() {
    let (a, b, _echo) = pair().await;
    for sidecar in [&a, &b] {
        let mut call = Call::open(channel(sidecar.grpc), "b", "Break").await;
        call.send.send(Ok(message(b"first"))).await.unwrap();
        assert_eq!(call.next().await, Next::Data(message(b"first")));
        call.send.send(Ok(message(b"second"))).await.unwrap();
        let (code, text) = call.status().await;
        assert_eq!(code, "13", "{text}");
        assert!(text.starts_with("error reading from server"), "{text}");
    }
}

#[tokio::test]
async fn message_over_the_limit_ends_the_call_with_its_size() {
    let (a, b, _echo) = pair().await;
    for sidecar in [&a, &b] {
        let mut call = Call::open(channel(sidecar.grpc), "b", "Echo").await;
        let largest = message(&[7; 64 * 1024]);
        call.send.send(Ok(largest.clone())).await.unwrap();
        let mut arrived = 0;
        while arrived < largest.len() {
            match call.next().await {
                Next::Data(data) => arrived += data.len(),
                other => panic!("{other:?} instead of the largest message"),
            }
        }
        call.send
            .send(Ok(message(&[7; 64 * 1024 + 1])))
            .await
            .unwrap();
        let (code, text) = call.status().await;
        assert_eq!(code, "8", "{text}");
        assert_eq!(
            text,
            "grpc: received message larger than max (65537 vs. 65536)"
        );
    }
}

#[tokio::test]
async fn client_that_gives_up_ends_the_call_at_the_application() {
    let (a, b, mut echo) = pair().await;
    for sidecar in [&a, &b] {
        let call = Call::open(channel(sidecar.grpc), "b", "Hang").await;
        drop(call);
        let dropped = tokio::time::timeout(std::time::Duration::from_secs(20), echo.dropped.recv());
        assert_eq!(dropped.await.expect("given up in time"), Some(()));
    }
}

#[tokio::test]
async fn streams_beyond_what_one_connection_carries_are_open_at_once() {
    let (a, _b, _echo) = pair().await;
    let client = channel(a.grpc);
    let opening = (0..250).map(|_| Call::open(client.clone(), "b", "Echo"));
    let mut calls = join_all(opening).await;
    for call in &mut calls {
        call.send.send(Ok(message(b"x"))).await.unwrap();
        assert_eq!(call.next().await, Next::Data(message(b"x")));
    }
}
