//! A sentry that signs whatever it is asked to, over real TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_grpc::ServeConfig;
use trilby_identity::{ClientAuth, Publisher, Svid, TrustBundle};
use trilby_proto::sentry::v1::ca_server::{Ca, CaServer};
use trilby_proto::sentry::v1::{SignCertificateRequest, SignCertificateResponse};

/// The trust domain of the control plane in these tests.
pub(crate) const TRUST_DOMAIN: &str = "cluster.local";
/// Its namespace.
pub(crate) const NAMESPACE: &str = "dapr-system";

/// A running sentry.
pub(crate) struct Sentry {
    authority: Arc<Authority>,
    address: SocketAddr,
    _port: trilby_testkit::ports::Port,
    identity: trilby_identity::Identity,
    life: Option<Duration>,
    signed: Arc<AtomicUsize>,
    _serving: Publisher,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

#[derive(Clone)]
struct Signer {
    authority: Arc<Authority>,
    /// How long certificates live; `None` for longer than any test.
    life: Option<Duration>,
    signed: Arc<AtomicUsize>,
}

impl Sentry {
    pub(crate) async fn start() -> Self {
        let sentry = Self::away().await;
        sentry.come().await;
        sentry
    }

    /// One whose certificates live for a short time.
    pub(crate) async fn with_life(life: Duration) -> Self {
        let sentry = Self {
            life: Some(life),
            ..Self::away().await
        };
        sentry.come().await;
        sentry
    }

    /// How many certificates it has signed.
    pub(crate) fn signed(&self) -> usize {
        self.signed.load(Ordering::Acquire)
    }

    /// One whose address and anchors are known, and that does not answer yet.
    pub(crate) async fn away() -> Self {
        let authority = Arc::new(Authority::new());
        let (publisher, identity) =
            trilby_identity::channel(TrustBundle::from_pem(authority.pem().as_bytes()).unwrap());
        publisher
            .publish(authority.svid(&format!(
                "spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/dapr-sentry"
            )))
            .unwrap();
        // Taken and given back: nobody else gets a port below the ephemeral range by chance.
        let port = trilby_testkit::ports::Port::free();
        Self {
            address: port.address(),
            _port: port,
            authority,
            identity,
            life: None,
            signed: Arc::default(),
            _serving: publisher,
        }
    }

    /// Starts to answer.
    pub(crate) async fn come(&self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        let signer = Signer {
            authority: Arc::clone(&self.authority),
            life: self.life,
            signed: Arc::clone(&self.signed),
        };
        let routes = tonic::service::Routes::new(CaServer::new(signer)).prepare();
        let tls = self.identity.server_tls(ClientAuth::None);
        let options = (ServeConfig::new("sentry"), CancellationToken::new());
        tokio::spawn(trilby_grpc::serve(listener, Some(tls), routes, options));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn anchors(&self) -> String {
        self.authority.pem()
    }

    /// An identity that nobody asked for, to attack with.
    pub(crate) fn identity(&self, spiffe_id: &str) -> (Publisher, trilby_identity::Identity) {
        let bundle = TrustBundle::from_pem(self.anchors().as_bytes()).unwrap();
        let (publisher, identity) = trilby_identity::channel(bundle);
        publisher.publish(self.authority.svid(spiffe_id)).unwrap();
        (publisher, identity)
    }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn svid(&self, spiffe_id: &str) -> Svid {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let leaf = leaf(spiffe_id).signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Svid::from_pem(leaf.pem().as_bytes(), key).unwrap()
    }
}

fn leaf(spiffe_id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

#[tonic::async_trait]
impl Ca for Signer {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        let request = request.into_inner();
        let pem = String::from_utf8(request.certificate_signing_request.to_vec()).unwrap();
        let mut csr = CertificateSigningRequestParams::from_pem(&pem).unwrap();
        csr.params = leaf(&format!(
            "spiffe://public/ns/{}/{}",
            request.namespace, request.id
        ));
        if let Some(life) = self.life {
            let now = SystemTime::now();
            csr.params.not_before = (now - life).into();
            csr.params.not_after = (now + life).into();
        }
        let not_after = csr.params.not_after;
        let certificate = csr.signed_by(&self.authority.0).unwrap();
        self.signed.fetch_add(1, Ordering::AcqRel);
        Ok(Response::new(SignCertificateResponse {
            workload_certificate: certificate.pem().into_bytes().into(),
            trust_chain_certificates: vec![self.authority.pem().into_bytes().into()],
            valid_until: Some(prost_types::Timestamp {
                seconds: not_after.unix_timestamp(),
                nanos: 0,
            }),
            ..Default::default()
        }))
    }
}
