//! `dapr.proto.sentry.v1.CA`: one request, one certificate, one line in the log.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};
use tonic::{Request, Response, Status};
use trilby_grpc::peer;
use trilby_identity::SpiffeId;
use trilby_proto::sentry::v1::{SignCertificateRequest, SignCertificateResponse, ca_server::Ca};

use crate::{
    authority::Authority,
    bundle::unix_seconds,
    csr,
    dns_names::DnsNames,
    issuer::{Issuer, Leaf, Signed, Validity},
    metrics::{Metrics, Reason},
    rates::Rates,
    rotation::evidence::Asker,
    tokens::TokenIssuer,
    validator::{Denied, Validators, Verdict},
};

/// Requests that are worked on at once. Each waits for the API server most of the time.
const MAX_REQUESTS: usize = 128;

/// How long a request may wait for its turn before the client is sent away to try again.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The most audiences of a request, and the longest of them in bytes: each costs a signature.
const MAX_AUDIENCES: usize = 32;
const MAX_AUDIENCE: usize = 1024;

/// See the module.
pub(crate) struct CertificateApi {
    authority: Arc<Authority>,
    validators: Validators,
    dns_names: DnsNames,
    /// `None` bounds nobody.
    rates: Option<Rates>,
    metrics: Metrics,
    turns: Semaphore,
}

/// A refusal, with what the caller is not told.
struct Refusal {
    status: Status,
    reason: Reason,
    cause: String,
}

impl Refusal {
    fn new(reason: Reason, status: Status) -> Self {
        Self {
            status,
            reason,
            cause: String::new(),
        }
    }

    /// Our own failure: the caller learns that there was one.
    fn ours(text: String, cause: impl ToString) -> Self {
        Self {
            status: Status::internal(text),
            reason: Reason::Sign,
            cause: cause.to_string(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self {
            cause: denied.cause().to_owned(),
            reason: denied.reason(),
            status: Status::permission_denied(denied.to_string()),
        }
    }
}

/// What was issued, and how it was decided.
struct Grant {
    id: SpiffeId,
    signed: Signed,
    tokens: Option<Tokens>,
    issuer: Arc<Issuer>,
    validator: &'static str,
    /// The UID of the caller's pod, where that is known.
    pod: Option<String>,
}

/// Tokens beside a certificate.
struct Tokens {
    /// For all audiences.
    base: String,
    /// For one audience each.
    per_audience: HashMap<String, String>,
}

impl CertificateApi {
    pub(crate) fn new(
        authority: Arc<Authority>,
        validators: Validators,
        dns_names: DnsNames,
        rates: Option<Rates>,
    ) -> Self {
        Self {
            metrics: authority.metrics.clone(),
            authority,
            validators,
            dns_names,
            rates,
            turns: Semaphore::new(MAX_REQUESTS),
        }
    }

    async fn grant(
        &self,
        request: &SignCertificateRequest,
        peer: Option<SocketAddr>,
    ) -> Result<Grant, Refusal> {
        let busy = || Status::resource_exhausted("too many certificate requests at once");
        let _turn = tokio::time::timeout(MAX_WAIT, self.turns.acquire())
            .await
            .map_err(|_| Refusal::new(Reason::Busy, busy()))?
            .expect("the semaphore is never closed");
        let chosen = self.validators.choose(request.token_validator);
        let validator = chosen.map_err(|error| {
            Refusal::new(
                Reason::Validator,
                Status::invalid_argument(error.to_string()),
            )
        })?;
        let verdict = validator.validate(request, peer).await?;
        let began = Instant::now();
        let grant = self.sign(request, (verdict, validator.name()), peer)?;
        self.metrics.signing.observe(began.elapsed().as_secs_f64());
        Ok(grant)
    }

    fn sign(
        &self,
        request: &SignCertificateRequest,
        (verdict, validator): (Verdict, &'static str),
        peer: Option<SocketAddr>,
    ) -> Result<Grant, Refusal> {
        let key = csr::public_key(&request.certificate_signing_request).map_err(|error| {
            Refusal::new(Reason::Csr, Status::invalid_argument(error.to_string()))
        })?;
        let failed = |cause: String| Refusal::ours("failed to sign certificate".to_owned(), cause);
        let id = SpiffeId::new(&verdict.trust_domain, &request.namespace, &request.id)
            .map_err(|error| failed(error.to_string()))?;
        self.admit(&id, peer)?;
        let leaf = Leaf {
            dns_names: self.dns_names.of(&id),
            id: id.clone(),
            images: verdict.images,
        };
        let issuer = self
            .authority
            .issuer()
            .ok_or_else(|| failed("no certificate authority yet".to_owned()))?;
        let moment = self.authority.moment();
        let signed = issuer
            .sign(&leaf, &key, moment)
            .map_err(|error| failed(error.to_string()))?;
        self.authority.leaves.signed(issuer.id(), signed.not_after);
        let tokens = issuer
            .tokens()
            .map(|tokens| issue(tokens, (&id, &request.jwt_audiences), moment));
        Ok(Grant {
            id,
            signed,
            tokens: tokens.transpose()?,
            issuer,
            validator,
            pod: verdict.pod,
        })
    }

    fn admit(&self, id: &SpiffeId, peer: Option<SocketAddr>) -> Result<(), Refusal> {
        let from = peer.map(|peer| peer.ip());
        if self
            .rates
            .as_ref()
            .is_none_or(|rates| rates.admit(id, from))
        {
            return Ok(());
        }
        let text = "too many certificate requests for this identity";
        Err(Refusal::new(Reason::Rate, Status::resource_exhausted(text)))
    }

    fn audit_grant(&self, grant: &Grant, peer: Option<SocketAddr>) {
        self.metrics.signed(grant.signed.not_after);
        tracing::info!(
            id = %grant.id,
            serial = grant.signed.serial,
            expiry = unix_seconds(grant.signed.not_after),
            tokens = grant.tokens.as_ref().map_or(0, |tokens| tokens.per_audience.len() + 1),
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
        self.metrics.refused(refusal.reason);
        tracing::warn!(
            app_id = bounded(&request.id),
            namespace = bounded(&request.namespace),
            code = ?refusal.status.code(),
            reason = bounded(refusal.status.message()),
            cause = bounded(&refusal.cause),
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
        .nth(256)
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
        let (metadata, _extensions, request) = request.into_parts();
        match self.grant(&request, from).await {
            Ok(grant) => {
                self.audit_grant(&grant, from);
                let name = grant.id.as_str();
                let uid = grant.pod.as_deref().unwrap_or(name);
                self.authority.evidence.hear(Asker { uid, name }, &metadata);
                Ok(Response::new(response(grant)))
            }
            Err(refusal) => {
                self.audit_refusal(&request, &refusal, from);
                Err(refusal.status)
            }
        }
    }
}

/// Tokens for the trust domain and the audiences that were asked for, in this order.
fn issue(
    tokens: &TokenIssuer,
    (id, requested): (&SpiffeId, &[String]),
    (now, validity): (std::time::SystemTime, Validity),
) -> Result<Tokens, Refusal> {
    let too_many = requested.len() > MAX_AUDIENCES;
    if too_many
        || requested
            .iter()
            .any(|audience| audience.len() > MAX_AUDIENCE)
    {
        let text = format!(
            "more than {MAX_AUDIENCES} JWT audiences, or one of more than {MAX_AUDIENCE} bytes"
        );
        return Err(Refusal::new(
            Reason::Request,
            Status::invalid_argument(text),
        ));
    }
    let requested = requested.iter().map(String::as_str);
    let audiences: Vec<_> = std::iter::once(id.trust_domain())
        .chain(requested)
        .collect();
    let issue = |audiences: &[&str]| tokens.issue(id, audiences, (now, validity.clock_skew));
    let base = issue(&audiences)
        .map_err(|error| Refusal::ours(format!("failed to generate JWT: {error}"), ""))?;
    let mut per_audience = HashMap::with_capacity(audiences.len());
    for audience in audiences {
        let token = issue(&[audience]).map_err(|error| {
            Refusal::ours(
                format!("failed to generate JWT for audience {audience}: {error}"),
                "",
            )
        })?;
        per_audience.insert(audience.to_owned(), token);
    }
    Ok(Tokens { base, per_audience })
}

fn response(grant: Grant) -> SignCertificateResponse {
    let (jwt, per_audience_jwts) = match grant.tokens {
        Some(tokens) => (Some(tokens.base), tokens.per_audience),
        None => (None, HashMap::new()),
    };
    SignCertificateResponse {
        workload_certificate: grant.signed.chain_pem.into(),
        trust_chain_certificates: vec![grant.issuer.anchors().pem().to_owned().into()],
        valid_until: Some(grant.signed.not_after.into()),
        jwt,
        per_audience_jwts,
    }
}

#[cfg(test)]
mod tests;
