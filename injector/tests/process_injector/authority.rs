//! A certificate authority that speaks sentry's protocol and believes every token.

use std::{net::TcpListener, thread};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};
use trilby_grpc::{ServeConfig, serve};
use trilby_identity::{ClientAuth, Svid, TrustBundle, channel};
use trilby_proto::sentry::v1::{
    SignCertificateRequest, SignCertificateResponse,
    ca_server::{Ca, CaServer},
};

/// Trust domain of the control plane.
const TRUST_DOMAIN: &str = "cluster.local";

/// A running authority. Dropped, it answers nobody any more.
pub(crate) struct Authority {
    /// Its certificate, PEM.
    pub(crate) anchors: String,
    _stop: DropGuard,
}

struct Issuing {
    issuer: Issuer<'static, KeyPair>,
    anchors: String,
}

impl Authority {
    /// Serves the control plane of this namespace, on a thread of its own so that every test can share it.
    pub(crate) fn start(namespace: &str, listener: TcpListener) -> Self {
        let issuing = Issuing::new();
        let anchors = issuing.anchors.clone();
        let (svid, bundle) = (
            issuing.own(namespace),
            TrustBundle::from_pem(anchors.as_bytes()),
        );
        let cancel = CancellationToken::new();
        let stop = cancel.clone().drop_guard();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let (publisher, identity) = channel(bundle.unwrap());
                publisher.publish(svid).unwrap();
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let routes = tonic::service::Routes::new(CaServer::new(issuing));
                let tls = identity.server_tls(ClientAuth::None);
                let config = ServeConfig::new("authority");
                serve(listener, Some(tls), routes.prepare(), (config, cancel)).await;
            });
        });
        Self {
            anchors,
            _stop: stop,
        }
    }
}

impl Issuing {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let anchors = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, anchors }
    }

    /// The authority's own identity.
    fn own(&self, namespace: &str) -> Svid {
        let key = KeyPair::generate().unwrap();
        let leaf = leaf(namespace, "dapr-sentry")
            .signed_by(&key, &self.issuer)
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Svid::from_pem(leaf.pem().as_bytes(), key).unwrap()
    }
}

#[tonic::async_trait]
impl Ca for Issuing {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        let request = request.into_inner();
        let invalid = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
        let csr = std::str::from_utf8(&request.certificate_signing_request)
            .map_err(|error| invalid(&error))?;
        let mut csr =
            CertificateSigningRequestParams::from_pem(csr).map_err(|error| invalid(&error))?;
        csr.params = leaf(&request.namespace, &request.id);
        let not_after = csr.params.not_after.unix_timestamp();
        let leaf = csr
            .signed_by(&self.issuer)
            .map_err(|error| invalid(&error))?;
        Ok(Response::new(SignCertificateResponse {
            workload_certificate: leaf.pem().into_bytes().into(),
            trust_chain_certificates: vec![self.anchors.clone().into_bytes().into()],
            valid_until: Some(prost_types::Timestamp {
                seconds: not_after,
                nanos: 0,
            }),
            ..SignCertificateResponse::default()
        }))
    }
}

fn leaf(namespace: &str, app_id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::default();
    let id = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/{app_id}");
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    if app_id == "dapr-injector" {
        let service = format!("dapr-sidecar-injector.{namespace}.svc");
        params
            .subject_alt_names
            .push(SanType::DnsName(service.try_into().unwrap()));
    }
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.not_after = rcgen::date_time_ymd(2096, 1, 1);
    params
}
