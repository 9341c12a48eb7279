//! The service over real mutual TLS on loopback.

use std::{net::SocketAddr, time::Duration};

use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, service::Routes};
use trilby_grpc::{ChannelConfig, ServeConfig, Target};
use trilby_identity::{ClientAuth, Expect, Identity, Publisher, Svid, TrustBundle};
use trilby_placement_protocol::server::Settings;
use trilby_proto::placement::v1::{
    HostOperation, PlacementOrder, placement_client::PlacementClient,
};
use trilby_testkit::ca::Authority;

use super::*;
use crate::{
    hub::{Hub, HubConfig},
    leadership::{LEADER_KEY, Tenure},
    metrics::Metrics,
};

const PLACEMENT: &str = "spiffe://cluster.local/ns/dapr-system/dapr-placement";

/// An identity, and what keeps it published.
fn identity(authority: &Authority, id: &str) -> (Publisher, Identity) {
    let anchors = TrustBundle::from_pem(authority.certificate().as_bytes()).expect("anchors");
    let (publisher, identity) = trilby_identity::channel(anchors);
    let credential = authority.workload(id);
    let key = PrivateKeyDer::from_pem_slice(credential.key.as_bytes()).expect("a key");
    let svid = Svid::from_pem(credential.certificate.as_bytes(), key).expect("an SVID");
    publisher.publish(svid).expect("the anchors vouch for it");
    (publisher, identity)
}

/// Placement with an identity of `authority`, until the token is cancelled.
async fn serve(authority: &Authority) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let rounds = Settings {
        timeout: Duration::from_secs(8),
        straggler: Duration::from_secs(1),
        coalesce: Duration::ZERO,
        lease: Duration::from_secs(3),
    };
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("fresh");
    let (mut hub, notices) = Hub::new(
        HubConfig {
            rounds,
            replication: 100,
            settle: Duration::ZERO,
        },
        metrics,
        None,
    );
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move { hub.run(&Tenure::endless(), &stop).await });
    let post = Post::of_leader(notices);
    let address = serve_as(post, authority, listener, cancel.clone());
    (address, cancel)
}

/// Placement on that post.
fn serve_as(
    post: Post,
    authority: &Authority,
    listener: TcpListener,
    cancel: CancellationToken,
) -> SocketAddr {
    let address = listener.local_addr().expect("it is bound");
    let (publisher, identity) = identity(authority, PLACEMENT);
    let metrics = Metrics::register(&prometheus::Registry::new()).expect("fresh");
    let admission = Admission {
        authenticated: true,
        address_check: AddressCheck::Off,
        lease: Duration::from_secs(3),
        metrics,
    };
    let routes = Routes::new(PlacementApi::new(post, admission));
    let serving = trilby_grpc::serve(
        listener,
        Some(identity.server_tls(ClientAuth::Required)),
        routes,
        (ServeConfig::new("test"), cancel),
    );
    tokio::spawn(async move {
        serving.await;
        drop(publisher);
    });
    address
}

/// Reports as app `a` of namespace `n`, with the certificate of `id`; gives the first order.
async fn report(
    address: SocketAddr,
    authority: &Authority,
    id: &str,
) -> Result<PlacementOrder, Status> {
    let (_publisher, identity) = identity(authority, id);
    let expect = Expect::Exact(PLACEMENT.parse().expect("a SPIFFE ID"));
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let tls = Some(identity.client_tls(expect));
    let channel = trilby_grpc::channel(target, tls, ChannelConfig::default()).expect("an address");
    let (hosts, outgoing) = mpsc::channel(1);
    let host = Host {
        name: "10.0.0.1:50002".into(),
        id: "a".into(),
        namespace: "n".into(),
        entities: vec!["A".into()],
        operation: HostOperation::Report.into(),
        ..Host::default()
    };
    hosts.send(host).await.expect("there is room");
    let stream = PlacementClient::new(channel)
        .report_dapr_status(ReceiverStream::new(outgoing))
        .await?;
    let order = stream.into_inner().message().await?;
    drop(hosts);
    Ok(order.expect("placement does not end the stream first"))
}

#[tokio::test]
async fn app_of_the_certificate_is_served() {
    let authority = Authority::new("test");
    let (address, cancel) = serve(&authority).await;
    let order = report(address, &authority, "spiffe://public/ns/n/a")
        .await
        .expect("it is that app");
    assert_eq!((order.operation.as_str(), order.version), ("lock", 1));
    cancel.cancel();
}

#[tokio::test]
async fn another_app_or_namespace_than_that_of_the_certificate_is_refused() {
    let authority = Authority::new("test");
    let (address, cancel) = serve(&authority).await;
    for (id, reason) in [
        (
            "spiffe://public/ns/n/b",
            "provided app ID a doesn't match the one in the SPIFFE ID (b)",
        ),
        (
            "spiffe://public/ns/m/a",
            "provided client namespace n doesn't match the one in the SPIFFE ID (m)",
        ),
    ] {
        let status = report(address, &authority, id)
            .await
            .expect_err("it is another");
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, reason)
        );
    }
    cancel.cancel();
}

#[tokio::test]
async fn certificate_of_another_authority_is_refused_in_the_handshake() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (address, cancel) = serve(&ours).await;
    let status = report(address, &theirs, "spiffe://public/ns/n/a")
        .await
        .expect_err("nobody vouches for it");
    assert_eq!(status.code(), Code::Unavailable);
    cancel.cancel();
}

#[tokio::test]
async fn follower_refuses_streams_and_says_where_the_leader_is() {
    let authority = Authority::new("test");
    for leader in [None, Some("dapr-placement-server-1.example:50005")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let cancel = CancellationToken::new();
        let post = Post::of_follower(leader);
        let address = serve_as(post, &authority, listener, cancel.clone());
        let status = report(address, &authority, "spiffe://public/ns/n/a")
            .await
            .expect_err("it does not lead");
        assert_eq!(
            (status.code(), status.message()),
            (
                Code::FailedPrecondition,
                "node id=test is not a leader. Only the leader can serve requests"
            )
        );
        let told = status.metadata().get(LEADER_KEY);
        assert_eq!(told.map(|it| it.to_str().expect("text")), leader);
        cancel.cancel();
    }
}
