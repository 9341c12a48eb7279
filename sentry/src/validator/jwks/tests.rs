use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use trilby_bootstrap::Process;
use trilby_identity::SystemClock;

use super::*;
use crate::jose::{Algorithm, SigningKey, sign};

const SENTRY: &str = "spiffe://td/ns/default/dapr-sentry";

struct Key {
    signing: SigningKey,
    id: &'static str,
}

impl Key {
    fn new(id: &'static str) -> Self {
        let pem = SigningKey::generate(Algorithm::EdDsa).unwrap();
        Self {
            signing: SigningKey::from_pem(pem.as_bytes()).unwrap(),
            id,
        }
    }

    fn set(&self) -> String {
        KeySet::single(self.signing.public().clone(), self.id, Algorithm::EdDsa).to_json()
    }

    fn token(&self, claims: &Value) -> String {
        sign(claims, (&self.signing, self.id, Algorithm::EdDsa)).unwrap()
    }

    /// A token for the app `cart` in the shop.
    fn cart(&self) -> String {
        self.token(&json!({"aud": [SENTRY], "sub": "spiffe://public/ns/shop/cart"}))
    }
}

fn validator(options: Value) -> Result<JwksValidator, String> {
    let options = Options::read(Some(&options)).map_err(|error| error.to_string())?;
    let sentry = SENTRY.parse().unwrap();
    JwksValidator::new(options, &sentry, Arc::new(SystemClock)).map_err(|error| error.to_string())
}

fn request(token: String) -> SignCertificateRequest {
    SignCertificateRequest {
        id: "cart".to_owned(),
        namespace: "shop".to_owned(),
        certificate_signing_request: "x".into(),
        token,
        ..SignCertificateRequest::default()
    }
}

async fn judged(validator: &JwksValidator, token: String) -> Result<String, String> {
    let verdict = validator.validate(&request(token)).await;
    let verdict = verdict.map_err(|denied| denied.to_string())?;
    Ok(verdict.trust_domain.to_string())
}

#[tokio::test]
async fn a_token_is_for_this_sentry_and_for_the_identity_asked_for() {
    let key = Key::new("one");
    let validator = validator(json!({"source": key.set()})).unwrap();
    assert_eq!(judged(&validator, key.cart()).await.unwrap(), "public");
    assert_eq!(
        judged(&validator, format!(" {}\n", key.cart()))
            .await
            .unwrap(),
        "public"
    );
    let refused = |claim| {
        Err(format!(
            "token validation failed: \"{claim}\" not satisfied"
        ))
    };
    let subject = "spiffe://public/ns/shop/cart";
    for (claims, claim) in [
        (json!({"sub": subject}), "aud"),
        (json!({"aud": "somebody", "sub": subject}), "aud"),
        (json!({"aud": SENTRY}), "sub"),
        (
            json!({"aud": SENTRY, "sub": "spiffe://public/ns/shop/till"}),
            "sub",
        ),
        (
            json!({"aud": SENTRY, "sub": "spiffe://other/ns/shop/cart"}),
            "sub",
        ),
        (json!({"aud": SENTRY, "sub": subject, "exp": 1}), "exp"),
        (
            json!({"aud": SENTRY, "sub": subject, "nbf": 4_000_000_000_u64}),
            "nbf",
        ),
    ] {
        assert_eq!(judged(&validator, key.token(&claims)).await, refused(claim));
    }
    let stranger = Key::new("one").cart();
    let text = judged(&validator, stranger).await.unwrap_err();
    assert!(
        text.starts_with("token validation failed: could not verify message"),
        "{text}"
    );
    let none = judged(&validator, String::new()).await.unwrap_err();
    assert_eq!(none, "the request does not contain a token");
}

#[tokio::test]
async fn the_trust_domain_is_the_one_asked_for_if_the_subject_agrees() {
    let key = Key::new("one");
    let validator = validator(json!({"source": key.set()})).unwrap();
    let subject = "spiffe://example.org/ns/shop/cart";
    let mut asked = request(key.token(&json!({"aud": SENTRY, "sub": subject})));
    assert!(validator.validate(&asked).await.is_err());
    asked.trust_domain = "example.org".to_owned();
    let verdict = validator.validate(&asked).await.unwrap();
    assert_eq!(verdict.trust_domain.as_str(), "example.org");
    asked.id = "a/b".to_owned();
    let text = validator.validate(&asked).await.unwrap_err().to_string();
    assert!(
        text.starts_with("failed to construct SPIFFE ID for requestor: "),
        "{text}"
    );
}

#[tokio::test]
async fn a_configured_issuer_has_to_be_the_tokens() {
    let key = Key::new("one");
    let validator = validator(json!({"source": key.set(), "issuer": "https://idp"})).unwrap();
    let claims =
        |issuer: &str| json!({"aud": SENTRY, "sub": "spiffe://public/ns/shop/cart", "iss": issuer});
    assert!(
        judged(&validator, key.token(&claims("https://idp")))
            .await
            .is_ok()
    );
    for token in [key.token(&claims("https://other")), key.cart()] {
        let text = judged(&validator, token).await.unwrap_err();
        assert_eq!(text, "token validation failed: \"iss\" not satisfied");
    }
}

#[tokio::test]
async fn keys_in_the_options_are_json_or_base64() {
    let key = Key::new("one");
    let padded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, key.set());
    for source in [key.set(), padded] {
        let validator = validator(json!({"source": source})).unwrap();
        assert!(judged(&validator, key.cart()).await.is_ok());
    }
    let text = validator(json!({"source": "/nonexistent"})).err().unwrap();
    let start =
        "token validator jwks: source: it is neither a URL, nor the path of a file, nor keys: ";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn a_key_that_the_file_got_meanwhile_is_found_and_a_broken_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let (old, new) = (Key::new("old"), Key::new("new"));
    std::fs::write(&path, old.set()).unwrap();
    let mut validator = validator(json!({"source": path})).unwrap();
    validator.again = Duration::ZERO;
    validator.refresh(Duration::ZERO).await.unwrap();
    assert!(judged(&validator, old.cart()).await.is_ok());
    std::fs::write(&path, "half a fi").unwrap();
    assert!(judged(&validator, new.cart()).await.is_err());
    assert!(judged(&validator, old.cart()).await.is_ok());
    std::fs::write(&path, new.set()).unwrap();
    assert!(judged(&validator, new.cart()).await.is_ok());
    assert!(judged(&validator, old.cart()).await.is_err());
}

/// A server that gives these keys, and counts how often it is asked.
async fn server(keys: watch::Receiver<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let answer = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let keys = keys.borrow().clone();
        async move { keys }
    };
    let routes = axum::Router::new().route("/keys", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, asked)
}

#[tokio::test]
async fn unknown_keys_make_the_set_be_fetched_again_but_not_at_will() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let (publish, published) = watch::channel(old.set());
    let (url, asked) = server(published).await;
    let mut validator = validator(json!({"source": url})).unwrap();
    validator.refresh(Duration::ZERO).await.unwrap();
    assert!(judged(&validator, old.cart()).await.is_ok());
    for _ in 0..10 {
        assert!(judged(&validator, new.cart()).await.is_err());
    }
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "forged tokens do not drive us"
    );
    publish.send(new.set()).unwrap();
    validator.again = Duration::ZERO;
    assert!(judged(&validator, new.cart()).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn without_keys_requests_are_told_so_and_the_process_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    std::fs::write(&path, "{}").unwrap();
    let validator = validator(json!({"source": path})).unwrap();
    let process = Process::for_test();
    let latch = process.readiness().latch("keys");
    let key = Key::new("one");
    let steps = async {
        let text = judged(&validator, key.cart()).await.unwrap_err();
        assert_eq!(text, "jwks validator not ready");
        assert!(process.readiness().missing()[0].contains("no keys from"));
        std::fs::write(&path, key.set()).unwrap();
        process.readiness().wait_ready().await;
        assert!(judged(&validator, key.cart()).await.is_ok());
    };
    tokio::select! {
        _ = validator.keep(latch) => {}
        () = steps => {}
    }
}
