//! Decides whether a caller is who it says it is, and so what its certificate will say.

mod kubernetes;

use trilby_identity::{SpiffeIdError, TrustDomain};
use trilby_proto::sentry::v1::{SignCertificateRequest, sign_certificate_request::TokenValidator};

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
    /// Something of the caller's could not be read. The cause is for the log only.
    #[error("{text}")]
    Api { text: &'static str, cause: String },
}

/// The validators that are enabled. One at most is the default, and then the only one.
pub(crate) enum Validators {
    /// Believes everybody.
    Insecure,
    /// Asks Kubernetes about service account tokens and pods.
    Kubernetes(KubernetesValidator),
    /// Standalone with validators configured, none of which is built.
    None,
}

impl Denied {
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
    pub(crate) fn choose(&self, requested: i32) -> Result<&Self, Unavailable> {
        let requested = TokenValidator::try_from(requested).map_err(|_| Unavailable::NotEnabled)?;
        match (requested, self) {
            (TokenValidator::Unknown, Self::None) => Err(Unavailable::NoDefault),
            (TokenValidator::Unknown | TokenValidator::Insecure, Self::Insecure)
            | (TokenValidator::Unknown | TokenValidator::Kubernetes, Self::Kubernetes(_)) => {
                Ok(self)
            }
            _ => Err(Unavailable::NotEnabled),
        }
    }

    /// For logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Insecure => "insecure",
            Self::Kubernetes(_) => "kubernetes",
            Self::None => "none",
        }
    }

    /// Judges a request.
    pub(crate) async fn validate(
        &self,
        request: &SignCertificateRequest,
    ) -> Result<Verdict, Denied> {
        check_request(request)?;
        match self {
            Self::Insecure => Ok(Verdict {
                trust_domain: trust_domain(&request.trust_domain)?,
                images: None,
            }),
            Self::Kubernetes(validator) => validator.validate(request).await,
            Self::None => Err(Denied::Token(Unavailable::NotEnabled.to_string())),
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

    #[test]
    fn the_validator_is_the_one_named_or_the_default() {
        let check = |validators: &Validators, requested: i32, expected: Option<Unavailable>| {
            assert_eq!(validators.choose(requested).err(), expected);
        };
        let (unknown, insecure, kubernetes, jwks) = (0, 1, 2, 3);
        check(&Validators::Insecure, unknown, None);
        check(&Validators::Insecure, insecure, None);
        for other in [kubernetes, jwks, 4, -1] {
            check(&Validators::Insecure, other, Some(Unavailable::NotEnabled));
        }
        check(&Validators::None, unknown, Some(Unavailable::NoDefault));
        check(&Validators::None, jwks, Some(Unavailable::NotEnabled));
    }

    #[tokio::test]
    async fn the_insecure_validator_grants_the_trust_domain_asked_for() {
        let mut request = request();
        let verdict = Validators::Insecure.validate(&request).await.unwrap();
        assert_eq!(verdict.trust_domain, TrustDomain::public());
        request.trust_domain = "spiffe://example.com/x".to_owned();
        let verdict = Validators::Insecure.validate(&request).await.unwrap();
        assert_eq!(verdict.trust_domain.as_str(), "example.com");
        request.trust_domain = "Not Valid".to_owned();
        assert!(Validators::Insecure.validate(&request).await.is_err());
    }
}
