//! A throw-away authority and an echo server, for this crate's tests.

use axum::{Router, body::Bytes, extract::Request, routing::post};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use trilby_identity::{Identity, Publisher, Svid, TrustBundle, channel};

use crate::{Target, peer};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn identity(&self, uri: &str) -> (Publisher, Identity) {
        let (publisher, identity) =
            channel(TrustBundle::from_pem(self.0.pem().as_bytes()).unwrap());
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        publisher
            .publish(Svid::from_pem(leaf.pem().as_bytes(), key).unwrap())
            .unwrap();
        (publisher, identity)
    }
}

/// `/echo` answers what it got; `/hello` answers that; `/who` answers who called; `/hang` never answers.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/echo", post(|body: Bytes| async { body }))
        .route(
            "/who",
            post(|request: Request| async move {
                let peer = peer(request.extensions()).unwrap();
                peer.spiffe
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string)
            }),
        )
        .route("/hello", post(async || "hello"))
        .route("/hang", post(std::future::pending::<&'static str>))
}

pub(crate) async fn listen() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = "127.0.0.1".to_owned();
    (listener, Target { host, port })
}
