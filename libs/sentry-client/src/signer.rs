//! One request to sentry, over a connection of its own.

use std::sync::Arc;

use async_trait::async_trait;
use rustls::ClientConfig;
use tonic::{Request, metadata::AsciiMetadataValue};
use trilby_grpc::{ChannelConfig, Target, channel};
use trilby_identity::{
    CertificateSigner, Expect, Identity, Issued, MAX_TOLD_ANCHORS, SignError,
    TRUST_ANCHORS_METADATA, Tokens,
};
use trilby_proto::sentry::v1::{
    SignCertificateRequest, SignCertificateResponse, ca_client::CaClient,
};

use crate::{Config, ConfigError};

pub(crate) struct SentrySigner {
    config: Config,
    target: Target,
    tls: Arc<ClientConfig>,
    /// Whose anchors sentry is told of.
    identity: Identity,
}

impl SentrySigner {
    pub(crate) fn new(config: Config, identity: &Identity) -> Result<Self, ConfigError> {
        config.check()?;
        let target = Target::parse(&config.sentry_address)?;
        let tls = identity.client_tls(Expect::Exact(config.control_plane.sentry()));
        Ok(Self {
            config,
            target,
            tls,
            identity: identity.clone(),
        })
    }

    fn request(&self, csr_pem: &str) -> Result<Request<SignCertificateRequest>, SignError> {
        let token = self.config.token.read().map_err(|error| SignError {
            class: "sentry_token",
            message: error.to_string(),
        })?;
        let mut request = Request::new(SignCertificateRequest {
            id: self.config.app_id.clone(),
            token: token.text,
            trust_domain: self.config.requested_trust_domain().to_owned(),
            namespace: self.config.namespace.clone(),
            certificate_signing_request: csr_pem.to_owned().into(),
            token_validator: token.validator.into(),
            jwt_audiences: self.config.jwt_audiences.clone(),
        });
        if let Some(anchors) = self.anchors() {
            request
                .metadata_mut()
                .insert(TRUST_ANCHORS_METADATA, anchors);
        }
        Ok(request)
    }

    /// What this process trusts: a rotation of the root waits until it is the next one. Upstream's sentry overlooks it.
    fn anchors(&self) -> Option<AsciiMetadataValue> {
        let mut anchors = self.identity.current_bundle().fingerprints();
        anchors.truncate(MAX_TOLD_ANCHORS);
        anchors.join(",").parse().ok()
    }
}

#[async_trait]
impl CertificateSigner for SentrySigner {
    async fn sign(&self, csr_pem: &str) -> Result<Issued, SignError> {
        let request = self.request(csr_pem)?;
        let unreachable = |message: String| SignError {
            class: "sentry_conn",
            message,
        };
        let tls = Some(Arc::clone(&self.tls));
        let channel = channel(self.target.clone(), tls, ChannelConfig::default())
            .map_err(|error| unreachable(error.to_string()))?;
        channel
            .connect()
            .await
            .map_err(|status| unreachable(status.message().to_owned()))?;
        let response = CaClient::new(channel).sign_certificate(request).await;
        let response = response.map_err(|status| SignError {
            class: "sign",
            message: format!("sentry refused ({:?}): {}", status.code(), status.message()),
        })?;
        issued(response.into_inner())
    }
}

fn issued(response: SignCertificateResponse) -> Result<Issued, SignError> {
    if response.valid_until.is_none() {
        return Err(SignError {
            class: "invalid_ts",
            message: "sentry's answer has no valid_until".to_owned(),
        });
    }
    let anchors = response.trust_chain_certificates.concat();
    Ok(Issued {
        chain_pem: response.workload_certificate.into(),
        anchors_pem: (!anchors.is_empty()).then_some(anchors),
        tokens: Tokens {
            base: response.jwt,
            per_audience: response.per_audience_jwts.into_iter().collect(),
        },
    })
}
