//! Decides whether a caller is who it says it is, and so what its certificate will say.

mod insecure;
mod jwks;
mod kubernetes;

use std::{net::SocketAddr, sync::Arc};

use trilby_identity::{SpiffeIdError, TrustDomain};
use trilby_proto::sentry::v1::{SignCertificateRequest, sign_certificate_request::TokenValidator};

use crate::metrics::Reason;
pub(crate) use insecure::InsecureValidator;
pub(crate) use jwks::{JwksValidator, Options as JwksOptions};
pub(crate) use kubernetes::KubernetesValidator;

/// The longest app ID, in bytes.
const MAX_APP_ID: usize = 64;

/// What a validator found out beyond what the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The trust domain of the identity.
    pub(crate) trust_domain: TrustDomain,
    /// JSON about the images of the caller's pod.
    pub(crate) images: Option<Vec<u8>>,
    /// The UID of the caller's pod, where that is known.
    pub(crate) pod: Option<String>,
}

/// Why no validator was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("a validator name must be specified in this environment")]
    NoDefault,
    #[error("the requested validator is not enabled")]
    NotEnabled,
}

/// Why the caller is not believed. The texts are upstream's, and go to the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error("invalid request: {}", .0.join("\n"))]
    Request(Vec<&'static str>),
    #[error("{0}")]
    Token(String),
    #[error("{0}")]
    Pod(String),
    #[error("{text}: {source}")]
    TrustDomain { text: String, source: SpiffeIdError },
    /// Not by a caller from elsewhere who shows no token.
    #[error(
        "identities of the control plane are not issued without a token to callers from other machines"
    )]
    Reserved,
    /// Something of the caller's could not be read. The cause is for the log only.
    #[error("{text}")]
    Api { text: &'static str, cause: String },
}

/// The validators that are enabled.
pub(crate) struct Validators {
    /// The one that the mode brings, which is the default; none in standalone mode with others configured.
    pub(crate) builtin: Option<Builtin>,
    /// The one that is configured.
    pub(crate) jwks: Option<Arc<JwksValidator>>,
}

/// A validator that the mode brings.
pub(crate) enum Builtin {
    /// Believes everybody.
    Insecure(InsecureValidator),
    /// Asks Kubernetes about service account tokens and pods.
    Kubernetes(Arc<KubernetesValidator>),
}

/// The validator of one request.
#[derive(Clone, Copy)]
pub(crate) enum Validator<'a> {
    Builtin(&'a Builtin),
    Jwks(&'a JwksValidator),
}

impl Denied {
    /// The same as a metric has it.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Request(_) | Self::TrustDomain { .. } => Reason::Request,
            Self::Token(_) => Reason::Token,
            Self::Pod(_) | Self::Reserved => Reason::Identity,
            Self::Api { .. } => Reason::Api,
        }
    }

    /// What the caller is not told.
    pub(crate) fn cause(&self) -> &str {
        match self {
            Self::Api { cause, .. } => cause,
            _ => "",
        }
    }
}

impl Validators {
    /// The validator for a request, or why there is none.
    pub(crate) fn choose(&self, requested: i32) -> Result<Validator<'_>, Unavailable> {
        let requested = TokenValidator::try_from(requested).map_err(|_| Unavailable::NotEnabled)?;
        let builtin = self.builtin.as_ref();
        let chosen = match (requested, builtin) {
            (TokenValidator::Unknown, None) => return Err(Unavailable::NoDefault),
            (TokenValidator::Unknown, Some(_))
            | (TokenValidator::Insecure, Some(Builtin::Insecure(_)))
            | (TokenValidator::Kubernetes, Some(Builtin::Kubernetes(_))) => {
                builtin.map(Validator::Builtin)
            }
            (TokenValidator::Jwks, _) => self.jwks.as_deref().map(Validator::Jwks),
            (TokenValidator::Insecure | TokenValidator::Kubernetes, _) => None,
        };
        chosen.ok_or(Unavailable::NotEnabled)
    }

    /// The one that asks Kubernetes, if that is enabled.
    pub(crate) fn kubernetes(&self) -> Option<Arc<KubernetesValidator>> {
        match &self.builtin {
            Some(Builtin::Kubernetes(validator)) => Some(Arc::clone(validator)),
            _ => None,
        }
    }
}

impl Validator<'_> {
    /// For logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Builtin(Builtin::Insecure(_)) => "insecure",
            Self::Builtin(Builtin::Kubernetes(_)) => "kubernetes",
            Self::Jwks(_) => "jwks",
        }
    }

    /// Judges a request that came from `peer`.
    pub(crate) async fn validate(
        self,
        request: &SignCertificateRequest,
        peer: Option<SocketAddr>,
    ) -> Result<Verdict, Denied> {
        match self {
            Self::Builtin(Builtin::Insecure(validator)) => validator.validate(request, peer),
            Self::Builtin(Builtin::Kubernetes(validator)) => validator.validate(request).await,
            Self::Jwks(validator) => validator.validate(request).await,
        }
    }
}

/// What holds for every validator.
fn check_request(request: &SignCertificateRequest) -> Result<(), Denied> {
    let id = &request.id;
    let checks = [
        (id.is_empty(), "parameter app-id cannot be empty"),
        (id.contains('.'), "parameter app-id cannot contain dots"),
        (
            id.len() > MAX_APP_ID,
            "app ID must be 64 characters or less",
        ),
        (
            request.certificate_signing_request.is_empty(),
            "CSR is required",
        ),
        (request.namespace.is_empty(), "namespace is required"),
    ];
    let wrong: Vec<_> = checks
        .into_iter()
        .filter_map(|(wrong, text)| wrong.then_some(text))
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Denied::Request(wrong))
    }
}

/// The domain asked for, or the public one.
fn trust_domain(requested: &str) -> Result<TrustDomain, Denied> {
    if requested.is_empty() {
        return Ok(TrustDomain::public());
    }
    TrustDomain::parse(requested).map_err(|source| Denied::TrustDomain {
        text: format!("failed to parse trust domain {requested:?}"),
        source,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trilby_identity::SystemClock;

    use super::*;

    fn request() -> SignCertificateRequest {
        SignCertificateRequest {
            id: "cart".to_owned(),
            namespace: "shop".to_owned(),
            certificate_signing_request: "x".into(),
            ..SignCertificateRequest::default()
        }
    }

    #[test]
    fn every_mistake_of_a_request_is_listed() {
        check_request(&request()).unwrap();
        let id = format!("a.{}", "b".repeat(70));
        let wrong = SignCertificateRequest {
            id,
            ..SignCertificateRequest::default()
        };
        assert_eq!(
            check_request(&wrong).unwrap_err().to_string(),
            "invalid request: parameter app-id cannot contain dots\n\
             app ID must be 64 characters or less\nCSR is required\nnamespace is required"
        );
        let nothing = check_request(&SignCertificateRequest::default());
        let text = nothing.unwrap_err().to_string();
        assert!(
            text.starts_with("invalid request: parameter app-id cannot be empty\n"),
            "{text}"
        );
    }

    fn jwks() -> Arc<JwksValidator> {
        let options = json!({"source": r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#});
        let options = JwksOptions::read(Some(&options)).unwrap();
        let sentry = "spiffe://td/ns/default/dapr-sentry".parse().unwrap();
        Arc::new(JwksValidator::new(options, &sentry, Arc::new(SystemClock)).unwrap())
    }

    #[test]
    fn the_validator_is_the_one_named_or_the_default() {
        let (unknown, insecure, kubernetes, jwks_requested) = (0, 1, 2, 3);
        let check =
            |validators: &Validators, requested: i32, expected: Result<&str, Unavailable>| {
                let chosen = validators.choose(requested).map(Validator::name);
                assert_eq!(chosen, expected, "{requested}");
            };
        let everybody = || Some(Builtin::Insecure(InsecureValidator::default()));
        let standalone = Validators {
            builtin: everybody(),
            jwks: None,
        };
        check(&standalone, unknown, Ok("insecure"));
        check(&standalone, insecure, Ok("insecure"));
        for other in [kubernetes, jwks_requested, 4, -1] {
            check(&standalone, other, Err(Unavailable::NotEnabled));
        }
        let configured = Validators {
            builtin: None,
            jwks: Some(jwks()),
        };
        check(&configured, unknown, Err(Unavailable::NoDefault));
        check(&configured, jwks_requested, Ok("jwks"));
        for other in [insecure, kubernetes, 4, -1] {
            check(&configured, other, Err(Unavailable::NotEnabled));
        }
        let both = Validators {
            builtin: everybody(),
            jwks: Some(jwks()),
        };
        check(&both, unknown, Ok("insecure"));
        check(&both, jwks_requested, Ok("jwks"));
    }
}
