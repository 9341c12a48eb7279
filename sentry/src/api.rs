//! `dapr.proto.sentry.v1.CA`: one request, one certificate, one line in the log.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use trilby_grpc::peer;
use trilby_identity::SpiffeId;
use trilby_proto::sentry::v1::{SignCertificateRequest, SignCertificateResponse, ca_server::Ca};

use crate::{
    authority::Authority,
    bundle::unix_seconds,
    csr,
    dns_names::DnsNames,
    issuer::{Issuer, Leaf, Signed},
    metrics::Metrics,
    validator::{Denied, Validators, Verdict},
};

/// Requests that are worked on at once. Each waits for the API server most of the time.
const MAX_REQUESTS: usize = 128;

/// How long a request may wait for its turn before the client is sent away to try again.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct CertificateApi {
    authority: Arc<Authority>,
    validators: Validators,
    dns_names: DnsNames,
    metrics: Metrics,
    turns: Semaphore,
}

/// A refusal, with what the caller is not told.
struct Refusal {
    status: Status,
    cause: String,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self {
            status,
            cause: String::new(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self {
            cause: denied.cause().to_owned(),
            status: Status::permission_denied(denied.to_string()),
        }
    }
}

/// What was issued, and how it was decided.
struct Grant {
    id: SpiffeId,
    signed: Signed,
    issuer: Arc<Issuer>,
    validator: &'static str,
}

impl CertificateApi {
    pub(crate) fn new(
        authority: Arc<Authority>,
        validators: Validators,
        dns_names: DnsNames,
    ) -> Self {
        Self {
            metrics: authority.metrics.clone(),
            authority,
            validators,
            dns_names,
            turns: Semaphore::new(MAX_REQUESTS),
        }
    }

    async fn grant(&self, request: &SignCertificateRequest) -> Result<Grant, Refusal> {
        let _turn = tokio::time::timeout(MAX_WAIT, self.turns.acquire())
            .await
            .map_err(|_| Status::resource_exhausted("too many certificate requests at once"))?
            .expect("the semaphore is never closed");
        let validator = self
            .validators
            .choose(request.token_validator)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let verdict = validator.validate(request).await?;
        let (id, signed, issuer) = self.sign(request, verdict)?;
        Ok(Grant {
            id,
            signed,
            issuer,
            validator: validator.name(),
        })
    }

    fn sign(
        &self,
        request: &SignCertificateRequest,
        verdict: Verdict,
    ) -> Result<(SpiffeId, Signed, Arc<Issuer>), Refusal> {
        let key = csr::public_key(&request.certificate_signing_request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let failed = |cause: String| Refusal {
            status: Status::internal("failed to sign certificate"),
            cause,
        };
        let id = SpiffeId::new(&verdict.trust_domain, &request.namespace, &request.id)
            .map_err(|error| failed(error.to_string()))?;
        let leaf = Leaf {
            dns_names: self.dns_names.of(&id),
            id: id.clone(),
            images: verdict.images,
        };
        let issuer = self
            .authority
            .issuer()
            .ok_or_else(|| failed("no certificate authority yet".to_owned()))?;
        let signed = issuer
            .sign(&leaf, &key, self.authority.now())
            .map_err(|error| failed(error.to_string()))?;
        Ok((id, signed, issuer))
    }

    fn audit_grant(&self, grant: &Grant, peer: Option<SocketAddr>) {
        self.metrics.signed.inc();
        tracing::info!(
            id = %grant.id,
            serial = grant.signed.serial,
            expiry = unix_seconds(grant.signed.not_after),
            validator = grant.validator,
            peer = peer.map(tracing::field::display),
            "certificate issued"
        );
    }

    fn audit_refusal(
        &self,
        request: &SignCertificateRequest,
        refusal: &Refusal,
        peer: Option<SocketAddr>,
    ) {
        self.metrics.refused();
        tracing::warn!(
            app_id = bounded(&request.id),
            namespace = bounded(&request.namespace),
            code = ?refusal.status.code(),
            reason = refusal.status.message(),
            cause = refusal.cause,
            peer = peer.map(tracing::field::display),
            "certificate refused"
        );
    }
}

/// A caller's text, cut to a length that does no harm in a log.
fn bounded(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(index, _)| index)
        .nth(128)
        .unwrap_or(text.len());
    &text[..end]
}

#[tonic::async_trait]
impl Ca for CertificateApi {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        self.metrics.received.inc();
        let from = peer(request.extensions()).and_then(|peer| peer.addr);
        let request = request.into_inner();
        match self.grant(&request).await {
            Ok(grant) => {
                self.audit_grant(&grant, from);
                Ok(Response::new(response(grant)))
            }
            Err(refusal) => {
                self.audit_refusal(&request, &refusal, from);
                Err(refusal.status)
            }
        }
    }
}

fn response(grant: Grant) -> SignCertificateResponse {
    SignCertificateResponse {
        workload_certificate: grant.signed.chain_pem.into(),
        trust_chain_certificates: vec![grant.issuer.anchors().pem().to_owned().into()],
        valid_until: Some(grant.signed.not_after.into()),
        jwt: None,
        per_audience_jwts: Default::default(),
    }
}
