//! A workload that asks for a certificate, and what it makes of the answer.

use std::net::SocketAddr;

use tonic::Status;
use trilby_grpc::{ChannelConfig, Target, channel};
use trilby_identity::{Csr, Expect, KeyType, SpiffeId, TrustBundle};
use trilby_proto::sentry::v1::{
    SignCertificateRequest, SignCertificateResponse, ca_client::CaClient,
    sign_certificate_request::TokenValidator,
};

/// Whom to ask, and whom to trust.
pub(crate) struct Caller {
    pub(crate) sentry: SocketAddr,
    pub(crate) sentry_id: SpiffeId,
    pub(crate) anchors: String,
}

impl Caller {
    /// Sends one request on a connection that accepts only this sentry.
    pub(crate) async fn sign(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, Status> {
        let bundle = TrustBundle::from_pem(self.anchors.as_bytes()).unwrap();
        let (_publisher, identity) = trilby_identity::channel(bundle);
        let tls = identity.client_tls(Expect::Exact(self.sentry_id.clone()));
        let target = Target {
            host: self.sentry.ip().to_string(),
            port: self.sentry.port(),
        };
        let channel = channel(target, Some(tls), ChannelConfig::default()).unwrap();
        let response = CaClient::new(channel).sign_certificate(request).await?;
        Ok(response.into_inner())
    }

    /// The refusal of a request that must be refused.
    pub(crate) async fn refusal(&self, request: SignCertificateRequest) -> (tonic::Code, String) {
        let status = self.sign(request).await.expect_err("is refused");
        (status.code(), status.message().to_owned())
    }
}

/// A sound request for `namespace/id` with a new key.
pub(crate) fn request(namespace: &str, id: &str, token: &str) -> SignCertificateRequest {
    SignCertificateRequest {
        id: id.to_owned(),
        namespace: namespace.to_owned(),
        token: token.to_owned(),
        certificate_signing_request: Csr::generate(KeyType::Ed25519).unwrap().pem.into(),
        token_validator: TokenValidator::Unknown.into(),
        ..SignCertificateRequest::default()
    }
}

/// Whom the leaf of an answer identifies.
pub(crate) fn identity(response: &SignCertificateResponse) -> String {
    let chain = trilby_identity::pem::certificates(&response.workload_certificate).unwrap();
    trilby_identity::peer_id(&chain[0]).unwrap().to_string()
}

/// What OpenSSL says about the chain of an answer and its own anchors.
pub(crate) fn openssl_verify(response: &SignCertificateResponse) {
    let anchors = response.trust_chain_certificates.concat();
    openssl_verify_by(&String::from_utf8(anchors).unwrap(), response);
}

/// What OpenSSL says about the chain of an answer and other anchors.
pub(crate) fn openssl_verify_by(anchors: &str, response: &SignCertificateResponse) {
    let dir = tempfile::tempdir().unwrap();
    let (ca, chain) = (dir.path().join("ca.crt"), dir.path().join("chain.crt"));
    std::fs::write(&ca, anchors).unwrap();
    std::fs::write(&chain, &response.workload_certificate).unwrap();
    let done = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"])
        .args([&ca, std::path::Path::new("-untrusted"), &chain, &chain])
        .output()
        .expect("openssl is installed");
    assert!(done.status.success(), "{done:?}");
}
