use std::{io, sync::Arc, time::Duration};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    ClientAuth, Clock as _, Expect, Identity, Publisher, SystemClock, channel, handshake_failure,
    testing::Authority,
};

fn identity(authority: &Authority, uri: &str) -> (Publisher, Identity) {
    let (publisher, identity) = channel(authority.bundle());
    publisher.publish(authority.svid(uri)).unwrap();
    (publisher, identity)
}

/// One byte there and back; what each side thinks of the other.
async fn shake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> (io::Result<()>, io::Result<()>) {
    let (left, right) = tokio::io::duplex(16 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(server).accept(left).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.shutdown().await
    };
    let call = async {
        let name = ServerName::try_from("unused.invalid").unwrap();
        let mut stream = TlsConnector::from(client).connect(name, right).await?;
        stream.write_u8(7).await?;
        stream.read_u8().await?;
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(serve, call) })
        .await
        .unwrap()
}

#[tokio::test]
async fn both_sides_see_the_identity_they_expect() {
    let authority = Authority::new("one");
    let (_keep, server) = identity(&authority, "spiffe://td/ns/shop/cart");
    let (_keep, client) = identity(&authority, "spiffe://td/ns/shop/web");
    let exact = Expect::Exact("spiffe://td/ns/shop/cart".parse().unwrap());
    let workload = Expect::Workload {
        namespace: "shop".to_owned(),
        app_id: "cart".to_owned(),
    };
    for expect in [exact, workload, Expect::Any] {
        let (served, called) = shake(
            server.server_tls(ClientAuth::Required),
            client.client_tls(expect),
        )
        .await;
        served.unwrap();
        called.unwrap();
    }
}

#[tokio::test]
async fn another_identity_than_expected_is_named_in_the_failure() {
    let authority = Authority::new("one");
    let (_keep, server) = identity(&authority, "spiffe://td/ns/shop/cart");
    let (_served, called) = shake(
        server.server_tls(ClientAuth::None),
        server.client_tls(Expect::Workload {
            namespace: "shop".to_owned(),
            app_id: "till".to_owned(),
        }),
    )
    .await;
    assert_eq!(
        handshake_failure(&called.unwrap_err()),
        "unexpected SPIFFE ID: \"spiffe://td/ns/shop/cart\""
    );
}

#[tokio::test]
async fn a_client_without_certificate_is_refused_where_one_is_required() {
    let authority = Authority::new("one");
    let (_keep, server) = identity(&authority, "spiffe://td/ns/shop/cart");
    let (_keep, anonymous) = channel(authority.bundle());
    let (served, called) = shake(
        server.server_tls(ClientAuth::Required),
        anonymous.client_tls(Expect::Any),
    )
    .await;
    assert!(served.is_err());
    assert!(called.is_err());
    let (served, _) = shake(
        server.server_tls(ClientAuth::None),
        anonymous.client_tls(Expect::Any),
    )
    .await;
    served.unwrap();
}

#[tokio::test]
async fn a_foreign_authority_is_refused_by_either_side() {
    let (ours, theirs) = (Authority::new("same name"), Authority::new("same name"));
    let (_keep, server) = identity(&ours, "spiffe://td/ns/shop/cart");
    let (publisher, client) = identity(&theirs, "spiffe://td/ns/shop/web");
    let (_served, called) = shake(
        server.server_tls(ClientAuth::Required),
        client.client_tls(Expect::Any),
    )
    .await;
    let reason = handshake_failure(&called.unwrap_err());
    assert!(reason.starts_with("certificate is not trusted"), "{reason}");

    publisher.publish_bundle(ours.bundle());
    let (served, _called) = shake(
        server.server_tls(ClientAuth::Required),
        client.client_tls(Expect::Any),
    )
    .await;
    let reason = handshake_failure(&served.unwrap_err());
    assert!(reason.starts_with("certificate is not trusted"), "{reason}");
}

#[tokio::test]
async fn a_configuration_made_before_a_renewal_uses_the_new_certificate_and_anchors() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (publisher, server) = identity(&old, "spiffe://td/ns/shop/cart");
    let (_keep, client) = identity(&new, "spiffe://td/ns/shop/web");
    let (server_tls, client_tls) = (
        server.server_tls(ClientAuth::Required),
        client.client_tls(Expect::Any),
    );
    assert!(
        shake(server_tls.clone(), client_tls.clone())
            .await
            .1
            .is_err()
    );
    publisher
        .publish_with(new.svid("spiffe://td/ns/shop/cart"), new.bundle())
        .unwrap();
    shake(server_tls, client_tls).await.1.unwrap();
}

#[tokio::test]
async fn no_svid_yet_means_no_handshake() {
    let authority = Authority::new("one");
    let (_keep, waiting) = channel(authority.bundle());
    let (served, called) = shake(
        waiting.server_tls(ClientAuth::None),
        waiting.client_tls(Expect::Any),
    )
    .await;
    assert!(served.is_err() && called.is_err());
}

#[test]
fn an_svid_that_peers_would_refuse_is_not_published() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (publisher, identity) = channel(ours.bundle());
    let refused = publisher.publish(theirs.svid("spiffe://td/ns/shop/cart"));
    assert!(refused.is_err());
    assert!(identity.current().is_none());
}

#[test]
fn a_certificate_names_exactly_one_identity_and_signs_nothing() {
    let authority = Authority::new("one");
    let csr = crate::Csr::generate(crate::KeyType::Ed25519).unwrap();
    let now = SystemClock.now();
    let span = (now - Duration::from_secs(60), now + Duration::from_secs(60));
    let two = ["spiffe://td/ns/a/b", "spiffe://td/ns/a/c"];
    for (uris, expected) in [(&two[..], 2), (&[], 0)] {
        let pem = authority.sign(&csr.pem, uris, span);
        let leaf = crate::pem::certificates(pem.as_bytes()).unwrap().remove(0);
        assert_eq!(
            crate::peer_id(&leaf),
            Err(crate::VerificationError::UriCount(expected))
        );
    }
    let root = crate::pem::certificates(authority.pem().as_bytes()).unwrap();
    assert_eq!(
        crate::peer_id(&root[0]),
        Err(crate::VerificationError::Authority)
    );
}
