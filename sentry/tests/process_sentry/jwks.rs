//! Callers that an identity provider vouches for.

use std::{fs, path::Path};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::sentry::v1::{SignCertificateRequest, sign_certificate_request::TokenValidator};
use trilby_testkit::{assert_eventually, servers::oidc::Oidc, services::Sentry};

use crate::caller::{Caller, identity, request};

const SENTRY: &str = "spiffe://td/ns/default/dapr-sentry";

/// A provider's key.
struct Key {
    name: &'static str,
    pair: rcgen::KeyPair,
}

impl Key {
    fn new(name: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self { name, pair }
    }

    fn set(&self) -> String {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        let public = BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key_raw());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": self.name, "x": public});
        json!({"keys": [key]}).to_string()
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.name.to_owned());
        let key = EncodingKey::from_ed_der(self.pair.serialized_der());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    fn cart(&self) -> SignCertificateRequest {
        let claims =
            json!({"aud": SENTRY, "sub": "spiffe://public/ns/shop/cart", "exp": 4_000_000_000_u64});
        asked(&self.token(&claims))
    }
}

fn asked(token: &str) -> SignCertificateRequest {
    let mut asked = request("shop", "cart", token);
    asked.token_validator = TokenValidator::Jwks.into();
    asked
}

fn sentry(dir: &Path, source: &str) -> Sentry {
    let sentry = Sentry::new()
        .arg("--issuer-credentials", dir.display())
        .arg("--trust-domain", "td");
    let validator = json!({"name": "jwks", "options": {"source": source}});
    let configuration =
        json!({"kind": "Configuration", "spec": {"mtls": {"tokenValidators": [validator]}}});
    let path = sentry.file("config.yaml", &configuration.to_string());
    sentry.arg("--config", path.display())
}

fn caller(sentry: &Sentry, dir: &Path) -> Caller {
    Caller {
        sentry: sentry.grpc_address(),
        sentry_id: SENTRY.parse().unwrap(),
        anchors: fs::read_to_string(dir.join("ca.crt")).unwrap(),
    }
}

#[tokio::test]
async fn a_token_gets_the_identity_that_is_its_subject_and_keys_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("provider.json");
    let (old, new) = (Key::new("old"), Key::new("new"));
    fs::write(&keys, old.set()).unwrap();
    let mut sentry = sentry(dir.path(), &keys.display().to_string());
    sentry.start().await;
    let caller = caller(&sentry, dir.path());
    let response = caller.sign(old.cart()).await.unwrap();
    assert_eq!(identity(&response), "spiffe://public/ns/shop/cart");

    let mut unnamed = old.cart();
    unnamed.token_validator = TokenValidator::Unknown.into();
    let refused = caller.refusal(unnamed).await;
    let text = "a validator name must be specified in this environment";
    assert_eq!(refused, (Code::InvalidArgument, text.to_owned()));
    let mut insecure = old.cart();
    insecure.token_validator = TokenValidator::Insecure.into();
    let refused = caller.refusal(insecure).await;
    assert_eq!(refused.1, "the requested validator is not enabled");
    let (code, text) = caller.refusal(new.cart()).await;
    assert_eq!(code, Code::PermissionDenied);
    assert!(
        text.starts_with("token validation failed: could not verify message"),
        "{text}"
    );

    fs::write(&keys, new.set()).unwrap();
    assert_eventually!(caller.sign(new.cart()).await.is_ok());
    assert!(caller.sign(old.cart()).await.is_err(), "retired");
    fs::write(&keys, "damaged").unwrap();
    sentry
        .log()
        .wait_for("could not be read, those in use stay")
        .await;
    caller.sign(new.cart()).await.unwrap();
    assert!(sentry.is_healthy().await);
}

#[tokio::test]
async fn a_real_provider_is_asked_for_its_keys() {
    let provider = Oidc::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut sentry = sentry(dir.path(), &format!("{}/jwks", provider.issuer()));
    sentry.start().await;
    let token = provider.token(SENTRY).await.unwrap();
    // Its tokens are genuine, and for sentry; but no workload of ours is their subject.
    let refused = caller(&sentry, dir.path()).refusal(asked(&token)).await;
    let text = "token validation failed: \"sub\" not satisfied";
    assert_eq!(refused, (Code::PermissionDenied, text.to_owned()));
}

#[tokio::test]
async fn options_that_cannot_work_end_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut sentry = sentry(dir.path(), "no keys at all");
    sentry.launch();
    assert!(
        !sentry
            .ended(std::time::Duration::from_secs(60))
            .await
            .success()
    );
    let text = sentry.log().text();
    assert!(text.contains("token validator jwks: source: "), "{text}");
}
