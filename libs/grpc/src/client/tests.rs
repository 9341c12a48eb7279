use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    ServeConfig, serve,
    testing::{listen, routes},
};

async fn echo(channel: &mut Channel, body: &str) -> Result<String, Status> {
    let request = Request::post("/echo")
        .body(Body::new(http_body_util::Full::from(body.to_owned())))
        .unwrap();
    let response = channel.call(request).await?;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn targets_are_read_and_printed() {
    for text in ["dapr-sentry.ns.svc:443", "127.0.0.1:1", "[::1]:50001"] {
        assert_eq!(Target::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Target::parse("[::1]:1").unwrap().host, "::1");
    for text in ["", "host", ":1", "host:", "host:x", "host:70000", "::1:80"] {
        assert!(Target::parse(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named_with_the_reason() {
    let (listener, target) = listen().await;
    drop(listener);
    let mut channel = channel(target.clone(), None, ChannelConfig::default()).unwrap();
    let status = echo(&mut channel, "").await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let start = format!("connection to {target} failed: Connection refused");
    assert!(status.message().starts_with(&start), "{status}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    // Accepted by the kernel, but nobody speaks: the HTTP/2 preface is sent, the TLS hello unanswered.
    let (_listener, target) = listen().await;
    let (_publisher, identity) = trilby_identity::channel(trilby_identity::TrustBundle::empty());
    let tls = identity.client_tls(trilby_identity::Expect::Any);
    let config = ChannelConfig {
        connect_timeout: Duration::from_millis(50),
        ..ChannelConfig::default()
    };
    let mut channel = channel(target, Some(tls), config).unwrap();
    let status = echo(&mut channel, "").await.unwrap_err();
    assert!(
        status.message().ends_with("timed out after 50ms"),
        "{status}"
    );
}

#[tokio::test]
async fn the_connection_is_made_again_after_the_server_restarted() {
    let (listener, target) = listen().await;
    let address = listener.local_addr().unwrap();
    let mut channel = channel(target, None, ChannelConfig::default()).unwrap();
    let mut listener = Some(listener);
    for round in ["one", "two", "three"] {
        let socket = match listener.take() {
            Some(listener) => listener,
            None => tokio::net::TcpListener::bind(address).await.unwrap(),
        };
        let cancel = CancellationToken::new();
        let options = (ServeConfig::new("test"), cancel.clone());
        let server = tokio::spawn(serve(socket, None, routes(), options));
        assert_eq!(echo(&mut channel, round).await.unwrap(), round);
        cancel.cancel();
        tokio::time::timeout(Duration::from_secs(10), server)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn callers_that_come_together_share_one_failed_attempt() {
    let (listener, target) = listen().await;
    let (_publisher, identity) = trilby_identity::channel(trilby_identity::TrustBundle::empty());
    let tls = identity.client_tls(trilby_identity::Expect::Any);
    let config = ChannelConfig {
        connect_timeout: Duration::from_millis(100),
        ..ChannelConfig::default()
    };
    let channel = channel(target, Some(tls), config).unwrap();
    let calls = (0..20).map(|_| {
        let mut channel = channel.clone();
        async move { echo(&mut channel, "").await.unwrap_err() }
    });
    let all = futures_util::future::join_all(calls);
    tokio::time::timeout(Duration::from_secs(5), all)
        .await
        .unwrap();
    let mut attempts = 0;
    while tokio::time::timeout(Duration::from_millis(10), listener.accept())
        .await
        .is_ok()
    {
        attempts += 1;
    }
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_unavailable() {
    use tokio::io::AsyncWriteExt as _;

    let (listener, target) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // A TLS alert, as a client in plain text gets it: no valid HTTP/2 frame.
        stream
            .write_all(&[21, 3, 3, 0, 2, 2, 10, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        stream
    });
    let mut channel = channel(target, None, ChannelConfig::default()).unwrap();
    let status = echo(&mut channel, "").await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    drop(server.await.unwrap());
}

/// How often a client pings within a minute in which its call is not answered.
async fn pings_of_a_silent_minute(liveness: Liveness) -> usize {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PREFACE: usize = 24;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: u8 = 6;
    const ACK: u8 = 1;
    let (listener, target) = listen().await;
    let config = ChannelConfig {
        liveness,
        ..ChannelConfig::default()
    };
    let mut channel = channel(target, None, config).unwrap();
    let call = tokio::spawn(async move { echo(&mut channel, "").await });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; PREFACE]).await.unwrap();
    stream.write_all(&SETTINGS).await.unwrap();
    let mut pings = 0;
    let listening = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            if head[3] == PING && head[4] & ACK == 0 {
                pings += 1;
                head[4] |= ACK;
                stream
                    .write_all(&[&head[..], &body].concat())
                    .await
                    .unwrap();
            }
        }
    };
    let over = tokio::time::timeout(Duration::from_secs(60), listening).await;
    assert!(over.is_err() && !call.is_finished());
    pings
}

#[tokio::test(start_paused = true)]
async fn only_a_server_that_allows_it_is_pinged() {
    let pings = Liveness::Pings {
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
    };
    assert_eq!(pings_of_a_silent_minute(Liveness::Probes).await, 0);
    assert!(pings_of_a_silent_minute(pings).await >= 3);
}

#[tokio::test]
async fn calls_beyond_what_a_connection_carries_open_another_that_closes_afterwards() {
    const CALLS: usize = 2 * connections::CALLS_PER_CONNECTION + 50;
    let (listener, target) = listen().await;
    let everybody = Arc::new(tokio::sync::Barrier::new(CALLS));
    let ports = Arc::new(parking_lot::Mutex::new(std::collections::BTreeMap::new()));
    let (gate, seen) = (Arc::clone(&everybody), Arc::clone(&ports));
    let meet = move |request: axum::extract::Request| {
        let (gate, seen) = (Arc::clone(&gate), Arc::clone(&seen));
        async move {
            let peer = crate::peer(request.extensions()).unwrap().addr;
            *seen.lock().entry(peer).or_insert(0) += 1;
            gate.wait().await;
        }
    };
    let routes = routes().route("/meet", axum::routing::post(meet));
    let server = ServeConfig {
        max_streams: Some(100),
        ..ServeConfig::new("test")
    };
    tokio::spawn(serve(
        listener,
        None,
        routes,
        (server, CancellationToken::new()),
    ));
    let channel = channel(target, None, ChannelConfig::default()).unwrap();
    let calls = (0..CALLS).map(|_| {
        let mut channel = channel.clone();
        async move {
            let request = Request::post("/meet").body(Body::empty()).unwrap();
            let response = channel.call(request).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
    });
    let all = futures_util::future::join_all(calls);
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .expect("no call waits for another to end");
    let counts: Vec<i32> = ports.lock().values().copied().collect();
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.iter().all(|count| *count <= 100), "{counts:?}");
    assert_eq!(
        channel.shared.open.count(),
        1,
        "idle connections are closed"
    );
}
