//! A certificate authority that certifies whatever it is asked for.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};
use trilby_grpc::{ServeConfig, serve};
use trilby_identity::{ClientAuth, Identity, Publisher, Svid, SystemClock, TrustBundle};
use trilby_proto::sentry::v1::{
    SignCertificateRequest, SignCertificateResponse,
    ca_server::{Ca, CaServer},
};

/// How long a certificate lasts.
const LIFE: Duration = Duration::from_secs(3600);

/// The trust domain of the control plane.
pub(crate) const TRUST_DOMAIN: &str = "cluster.local";

#[derive(Clone)]
pub(crate) struct Authority(Arc<CertifiedIssuer<'static, KeyPair>>);

/// An authority that is being served; ends when dropped.
pub(crate) struct Served(#[expect(dead_code, reason = "held for its drop")] DropGuard);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self(Arc::new(issuer))
    }

    /// Its certificate, PEM.
    pub(crate) fn anchors(&self) -> String {
        self.0.pem()
    }

    /// The identity of whoever is to be `id`.
    pub(crate) fn identity(&self, id: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf(id).signed_by(&key, &*self.0).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let svid = Svid::from_pem(certificate.pem().as_bytes(), key).expect("an SVID");
        let bundle = TrustBundle::from_pem(self.anchors().as_bytes()).expect("anchors");
        let (publisher, identity) = Publisher::new(bundle, Arc::new(SystemClock));
        publisher.publish(svid).expect("it is valid");
        identity
    }

    /// Serves as the sentry of a control plane in `namespace`.
    pub(crate) async fn serve(&self, address: SocketAddr, namespace: &str) -> Served {
        let id = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry");
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let tls = self.identity(&id).server_tls(ClientAuth::None);
        let routes = tonic::service::Routes::new(CaServer::new(self.clone())).prepare();
        let cancel = CancellationToken::new();
        let config = (ServeConfig::new("sentry"), cancel.clone());
        tokio::spawn(serve(listener, Some(tls), routes, config));
        Served(cancel.drop_guard())
    }
}

#[tonic::async_trait]
impl Ca for Authority {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        let request = request.into_inner();
        let pem = String::from_utf8_lossy(&request.certificate_signing_request).into_owned();
        let mut csr = CertificateSigningRequestParams::from_pem(&pem)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        csr.params = leaf(&format!(
            "spiffe://{}/ns/{}/{}",
            request.trust_domain, request.namespace, request.id
        ));
        let certificate = csr
            .signed_by(&*self.0)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(SignCertificateResponse {
            workload_certificate: certificate.pem().into(),
            trust_chain_certificates: vec![self.anchors().into()],
            valid_until: Some((SystemTime::now() + LIFE).into()),
            ..SignCertificateResponse::default()
        }))
    }
}

fn leaf(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
    params.not_after = (SystemTime::now() + LIFE).into();
    params.subject_alt_names = vec![
        SanType::URI(id.try_into().expect("a URI")),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
    ];
    params
}
