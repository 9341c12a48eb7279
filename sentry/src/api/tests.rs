use serde_json::json;
use tonic::Code;
use trilby_identity::{Csr, KeyType, SystemClock, TrustDomain};

use super::*;
use crate::{
    authority::Leaves,
    issuer::testing::{VALIDITY, issuer_with_tokens},
    jose::{Algorithm, KeySet, SigningKey, sign},
    rotation::Evidence,
    source::{SelfSigned, Sources},
    store::{DiskStore, Store},
    surroundings::Surroundings,
    validator::{Builtin, InsecureValidator, JwksOptions, JwksValidator},
};

const SENTRY: &str = "spiffe://td/ns/default/dapr-sentry";

/// A server with both validators that need no cluster.
struct World {
    api: CertificateApi,
    key: SigningKey,
    registry: prometheus::Registry,
}

fn authority(issuer: Option<Arc<Issuer>>, registry: &prometheus::Registry) -> Authority {
    let nowhere = std::path::PathBuf::new;
    let (_keeps_its_last_value, validity) = tokio::sync::watch::channel(VALIDITY);
    Authority {
        store: Store::Disk(DiskStore {
            ca: nowhere(),
            issuer: nowhere(),
            key: nowhere(),
            root_key: nowhere(),
            tokens: None,
        }),
        sentry: SENTRY.parse().unwrap(),
        trust_domain: TrustDomain::parse("td").unwrap(),
        surroundings: Surroundings::Machine { status: nowhere() },
        evidence: Evidence::default(),
        leaves: Leaves::default(),
        sources: Sources::own(SelfSigned::default()),
        validity,
        tokens: None,
        clock: Arc::new(SystemClock),
        metrics: Metrics::register(registry).unwrap(),
        current: tokio::sync::watch::Sender::new(issuer),
    }
}

impl World {
    fn new(issuer: Option<Arc<Issuer>>, per_minute: u32) -> Self {
        let registry = prometheus::Registry::new();
        let authority = Arc::new(authority(issuer, &registry));
        let pem = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        let keys = KeySet::single(key.public().clone(), "one", Algorithm::EdDsa).to_json();
        let options = JwksOptions::read(Some(&json!({"source": keys}))).unwrap();
        let sentry = SENTRY.parse().unwrap();
        let jwks = JwksValidator::new(options, &sentry, Arc::new(SystemClock)).unwrap();
        let validators = Validators {
            builtin: Some(Builtin::Insecure(InsecureValidator::reserving(&sentry))),
            jwks: Some(Arc::new(jwks)),
        };
        let dns_names = DnsNames {
            namespace: "default".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
        };
        let rates = std::num::NonZeroU32::new(per_minute).map(Rates::new);
        Self {
            api: CertificateApi::new(authority, validators, dns_names, rates),
            key,
            registry,
        }
    }

    async fn ask(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, (Code, String)> {
        let answer = self.api.sign_certificate(Request::new(request)).await;
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err((status.code(), status.message().to_owned())),
        }
    }

    fn token(&self, claims: &serde_json::Value) -> String {
        sign(claims, (&self.key, "one", Algorithm::EdDsa)).unwrap()
    }

    fn counted(&self, name: &str, reason: &str) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        let metrics = metrics.flat_map(|family| family.get_metric());
        let with = |metric: &&prometheus::proto::Metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.value() == reason)
        };
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "counts"
        )]
        let total = metrics
            .filter(with)
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum();
        total
    }
}

fn request() -> SignCertificateRequest {
    SignCertificateRequest {
        id: "cart".to_owned(),
        namespace: "shop".to_owned(),
        certificate_signing_request: Csr::generate(KeyType::Ed25519).unwrap().pem.into(),
        ..SignCertificateRequest::default()
    }
}

fn csr(label: &str, der: &[u8]) -> SignCertificateRequest {
    SignCertificateRequest {
        certificate_signing_request: trilby_identity::pem::encode(label, der).into(),
        ..request()
    }
}

/// A sound request whose signature is not its key's.
fn forged() -> SignCertificateRequest {
    let good = request().certificate_signing_request;
    let (_, block) = x509_parser::pem::parse_x509_pem(&good).unwrap();
    let mut der = block.contents;
    *der.last_mut().unwrap() ^= 1;
    csr("CERTIFICATE REQUEST", &der)
}

/// Every refusal that needs no cluster: the request, and the code, the text (or how it begins) and the reason that follow.
#[expect(clippy::too_many_lines, reason = "a flat table")]
fn refusals(world: &World) -> Vec<(SignCertificateRequest, Code, &'static str, &'static str)> {
    let with = |change: &dyn Fn(&mut SignCertificateRequest)| {
        let mut request = request();
        change(&mut request);
        request
    };
    let subject = "spiffe://public/ns/shop/cart";
    let jwks = |claims: serde_json::Value| {
        let token = world.token(&claims);
        with(&|request| {
            request.token_validator = 3;
            request.token = token.clone();
        })
    };
    let not_enabled = "the requested validator is not enabled";
    use Code::{Internal, InvalidArgument, PermissionDenied};
    vec![
        (
            with(&|r| r.token_validator = 2),
            InvalidArgument,
            not_enabled,
            "validator",
        ),
        (
            with(&|r| r.token_validator = 9),
            InvalidArgument,
            not_enabled,
            "validator",
        ),
        (
            with(&|r| r.token_validator = -1),
            InvalidArgument,
            not_enabled,
            "validator",
        ),
        (
            with(&|r| r.id.clear()),
            PermissionDenied,
            "invalid request: parameter app-id cannot be empty",
            "request",
        ),
        (
            with(&|r| r.id = "a.b".into()),
            PermissionDenied,
            "invalid request: parameter app-id cannot contain dots",
            "request",
        ),
        (
            with(&|r| r.id = "a".repeat(65)),
            PermissionDenied,
            "invalid request: app ID must be 64 characters or less",
            "request",
        ),
        (
            with(&|r| r.certificate_signing_request.clear()),
            PermissionDenied,
            "invalid request: CSR is required",
            "request",
        ),
        (
            with(&|r| r.namespace.clear()),
            PermissionDenied,
            "invalid request: namespace is required",
            "request",
        ),
        (
            with(&|r| r.trust_domain = "A B".into()),
            PermissionDenied,
            "failed to parse trust domain \"A B\": ",
            "request",
        ),
        (
            with(&|r| {
                r.id = "dapr-operator".into();
                r.namespace = "default".into();
            }),
            PermissionDenied,
            "identities of the control plane are not issued without a token to callers from other machines",
            "identity",
        ),
        (
            with(&|r| r.token_validator = 3),
            PermissionDenied,
            "the request does not contain a token",
            "token",
        ),
        (
            jwks(json!({"sub": subject})),
            PermissionDenied,
            "token validation failed: \"aud\" not satisfied",
            "token",
        ),
        (
            jwks(json!({"aud": SENTRY})),
            PermissionDenied,
            "token validation failed: \"sub\" not satisfied",
            "token",
        ),
        (
            jwks(json!({"aud": SENTRY, "sub": subject, "exp": 1})),
            PermissionDenied,
            "token validation failed: \"exp\" not satisfied",
            "token",
        ),
        (
            with(&|r| {
                r.token_validator = 3;
                r.token = "x".into();
            }),
            PermissionDenied,
            "token validation failed: failed to parse token: ",
            "token",
        ),
        (
            with(&|r| r.certificate_signing_request = "x".into()),
            InvalidArgument,
            "invalid certificate signing request",
            "csr",
        ),
        (
            csr("PRIVATE KEY", b"x"),
            InvalidArgument,
            "invalid certificate signing request",
            "csr",
        ),
        (
            csr("CERTIFICATE REQUEST", b"x"),
            InvalidArgument,
            "failed to parse certificate signing request: ",
            "csr",
        ),
        (forged(), InvalidArgument, "invalid signature", "csr"),
        (
            with(&|r| r.id = "a/b".into()),
            Internal,
            "failed to sign certificate",
            "sign",
        ),
        (
            with(&|r| r.namespace = "..".into()),
            Internal,
            "failed to sign certificate",
            "sign",
        ),
        (
            with(&|r| r.jwt_audiences = vec!["a".into(); 33]),
            InvalidArgument,
            "more than 32 JWT audiences, or one of more than 1024 bytes",
            "request",
        ),
        (
            with(&|r| r.jwt_audiences = vec!["a".repeat(1025)]),
            InvalidArgument,
            "more than 32 JWT audiences, or one of more than 1024 bytes",
            "request",
        ),
    ]
}

#[tokio::test]
async fn every_refusal_has_its_code_its_text_and_its_reason() {
    let world = World::new(Some(issuer_with_tokens()), 0);
    for (request, code, text, reason) in refusals(&world) {
        let before = world.counted("dapr_sentry_cert_refused_total", reason);
        let (found, message) = world.ask(request).await.expect_err(text);
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(text), "{message:?} is not {text:?}");
        let after = world.counted("dapr_sentry_cert_refused_total", reason);
        assert_eq!(after, before + 1, "{text}");
    }
    let refused = refusals(&world).len() as u64;
    let failures = world.counted("dapr_sentry_cert_sign_failure_total", "sign");
    assert_eq!(failures, refused, "upstream's counter has one reason");
}

#[tokio::test]
async fn without_an_authority_the_caller_learns_no_more_than_that() {
    let world = World::new(None, 0);
    let refused = world.ask(request()).await.unwrap_err();
    assert_eq!(
        refused,
        (Code::Internal, "failed to sign certificate".to_owned())
    );
}

#[tokio::test]
async fn a_validator_has_to_be_named_where_none_is_the_default() {
    let mut world = World::new(Some(issuer_with_tokens()), 0);
    world.api.validators.builtin = None;
    let (code, text) = world.ask(request()).await.unwrap_err();
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(
        text,
        "a validator name must be specified in this environment"
    );
}

#[tokio::test]
async fn tokens_come_for_the_trust_domain_first_and_one_for_each() {
    let world = World::new(Some(issuer_with_tokens()), 0);
    let asked = SignCertificateRequest {
        jwt_audiences: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
        ..request()
    };
    let answer = world.ask(asked).await.unwrap();
    let claims = |token: &str| {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        let claims = token.split('.').nth(1).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        serde_json::from_slice::<serde_json::Value>(&claims).unwrap()
    };
    let base = answer.jwt.clone().unwrap();
    assert_eq!(claims(&base)["aud"], json!(["public", "b", "a", "b"]));
    assert_eq!(claims(&base)["sub"], "spiffe://public/ns/shop/cart");
    assert_eq!(answer.per_audience_jwts.len(), 3);
    for (audience, token) in &answer.per_audience_jwts {
        assert_eq!(claims(token)["aud"], json!([audience]));
    }
    // What our own clients make of them.
    let tokens = trilby_identity::Tokens {
        base: Some(base),
        per_audience: answer.per_audience_jwts.into_iter().collect(),
    };
    let now = std::time::SystemTime::now();
    let read = trilby_identity::JwtSvids::read(&tokens, "public", now).unwrap();
    assert_eq!(read.fetch("a").unwrap().audiences(), ["a"]);
}

#[tokio::test]
async fn a_token_of_the_jwks_validator_gets_its_subjects_certificate() {
    let world = World::new(Some(issuer_with_tokens()), 0);
    let subject = "spiffe://example.org/ns/default/dapr-operator";
    let asked = SignCertificateRequest {
        id: "dapr-operator".to_owned(),
        namespace: "default".to_owned(),
        trust_domain: "example.org".to_owned(),
        token: world.token(&json!({"aud": [SENTRY], "sub": subject})),
        token_validator: 3,
        ..request()
    };
    let answer = world.ask(asked).await.unwrap();
    let chain = trilby_identity::pem::certificates(&answer.workload_certificate).unwrap();
    assert_eq!(
        trilby_identity::peer_id(&chain[0]).unwrap().as_str(),
        subject
    );
}

#[tokio::test]
async fn one_identity_cannot_ask_without_end() {
    let world = World::new(Some(issuer_with_tokens()), 6);
    world.ask(request()).await.unwrap();
    let (code, text) = world.ask(request()).await.unwrap_err();
    assert_eq!(code, Code::ResourceExhausted);
    assert_eq!(text, "too many certificate requests for this identity");
    let other = SignCertificateRequest {
        id: "till".to_owned(),
        ..request()
    };
    world.ask(other).await.unwrap();
    assert_eq!(world.counted("dapr_sentry_cert_refused_total", "rate"), 1);
}

#[test]
fn what_callers_write_is_cut_for_the_log() {
    assert_eq!(bounded("short"), "short");
    assert_eq!(bounded(&"ä".repeat(300)).chars().count(), 256);
}
