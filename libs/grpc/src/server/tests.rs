use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::{Status, body::Body};
use trilby_identity::{ClientAuth, Expect};

use super::*;
use crate::{
    Channel, ChannelConfig, Target, channel,
    testing::{Authority, listen, routes},
};

async fn call(channel: &mut Channel, path: &str, body: &str) -> Result<String, Status> {
    let request = Request::post(path)
        .body(Body::new(http_body_util::Full::from(body.to_owned())))
        .unwrap();
    let response = channel.call(request).await?;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

fn plain(target: &Target) -> Channel {
    channel(target.clone(), None, ChannelConfig::default()).unwrap()
}

/// Runs `test` beside a server; both under one limit.
async fn beside<F: Future>(server: impl Future<Output = ()>, test: F) -> F::Output {
    let limited = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::pin!(server);
        tokio::select! {
            () = &mut server => panic!("the server ended"),
            output = test => output,
        }
    });
    limited.await.expect("in time")
}

#[tokio::test]
async fn handlers_know_the_peer() {
    let authority = Authority::new();
    let (_keep, server) = authority.identity("spiffe://td/ns/shop/cart");
    let (_keep, client) = authority.identity("spiffe://td/ns/shop/web");
    let (listener, target) = listen().await;
    let tls = server.server_tls(ClientAuth::Required);
    let options = (ServeConfig::new("test"), CancellationToken::new());
    beside(serve(listener, Some(tls), routes(), options), async {
        let tls = Some(client.client_tls(Expect::Any));
        let mut channel = channel(target, tls, ChannelConfig::default()).unwrap();
        let who = call(&mut channel, "/who", "").await.unwrap();
        assert_eq!(who, "spiffe://td/ns/shop/web");
        let echo = call(&mut channel, "/echo", "hello").await.unwrap();
        assert_eq!(echo, "hello");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_server_is_named_in_the_clients_error() {
    let authority = Authority::new();
    let (_keep, server) = authority.identity("spiffe://td/ns/shop/cart");
    let (listener, target) = listen().await;
    let tls = server.server_tls(ClientAuth::Required);
    let options = (ServeConfig::new("test"), CancellationToken::new());
    beside(serve(listener, Some(tls), routes(), options), async {
        let expect = Expect::Exact("spiffe://td/ns/shop/till".parse().unwrap());
        let tls = Some(server.client_tls(expect));
        let mut channel = channel(target.clone(), tls, ChannelConfig::default()).unwrap();
        let status = call(&mut channel, "/echo", "").await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        assert_eq!(
            status.message(),
            format!(
                "connection to {target} failed: \
                 unexpected SPIFFE ID: \"spiffe://td/ns/shop/cart\""
            )
        );
    })
    .await;
}

#[tokio::test]
async fn plain_text_and_tls_do_not_mix() {
    let authority = Authority::new();
    let (_keep, server) = authority.identity("spiffe://td/ns/shop/cart");
    let (listener, target) = listen().await;
    let tls = server.server_tls(ClientAuth::Required);
    let options = (ServeConfig::new("test"), CancellationToken::new());
    beside(serve(listener, Some(tls), routes(), options), async {
        let status = call(&mut plain(&target), "/echo", "").await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    })
    .await;
}

#[tokio::test]
async fn who_tries_tls_where_there_is_none_is_answered_in_http2() {
    let (listener, target) = listen().await;
    let options = (ServeConfig::new("test"), CancellationToken::new());
    beside(serve(listener, None, routes(), options), async {
        let mut client = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .unwrap();
        // The beginning of a ClientHello, and as much of it as clients send.
        let mut hello = vec![0; 512];
        hello[..6].copy_from_slice(&[22, 3, 1, 1, 0xfb, 1]);
        client.write_all(&hello).await.unwrap();
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[3..5], [4, 0], "{head:?} is the head of no SETTINGS");
    })
    .await;
}

#[tokio::test]
async fn a_silent_client_is_dropped_after_the_handshake_time() {
    let authority = Authority::new();
    let (_keep, server) = authority.identity("spiffe://td/ns/shop/cart");
    let (listener, target) = listen().await;
    let tls = server.server_tls(ClientAuth::Required);
    let config = ServeConfig {
        handshake_timeout: Duration::from_millis(50),
        max_handshakes: 1,
        ..ServeConfig::new("test")
    };
    let options = (config, CancellationToken::new());
    beside(serve(listener, Some(tls), routes(), options), async {
        let mut silent = TcpStream::connect(("127.0.0.1", target.port))
            .await
            .unwrap();
        // Although only one handshake may go on, the next client gets its turn.
        let tls = Some(server.client_tls(Expect::Any));
        let mut channel = channel(target, tls, ChannelConfig::default()).unwrap();
        assert_eq!(call(&mut channel, "/echo", "x").await.unwrap(), "x");
        let mut rest = Vec::new();
        silent.read_to_end(&mut rest).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn shutdown_lets_idle_connections_go_and_ends_open_calls_at_its_limit() {
    let (listener, target) = listen().await;
    let config = ServeConfig {
        drain: Duration::from_millis(50),
        ..ServeConfig::new("test")
    };
    let cancel = CancellationToken::new();
    let server = serve(listener, None, routes(), (config, cancel.clone()));
    let server = tokio::spawn(server);
    let (mut idle, mut busy) = (plain(&target), plain(&target));
    assert_eq!(call(&mut idle, "/echo", "x").await.unwrap(), "x");
    let hanging = tokio::spawn(async move { call(&mut busy, "/hang", "").await });
    assert_eq!(call(&mut idle, "/echo", "y").await.unwrap(), "y");
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .unwrap()
        .unwrap();
    let status = hanging.await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
}

#[tokio::test]
async fn a_client_that_gave_up_waiting_is_seen_to_have_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    client
        .write_all(b"the beginning of a handshake")
        .await
        .unwrap();
    accepted.readable().await.unwrap();
    assert!(!has_left(&accepted), "it waits");
    drop(client);
    let gone = async {
        while !has_left(&accepted) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap();
}
