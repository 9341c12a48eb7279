use serde_json::{Value, json};

use super::*;

const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
];

struct Signer {
    key: SigningKey,
    algorithm: Algorithm,
    set: KeySet,
}

fn signer(algorithm: &str) -> Signer {
    let algorithm: Algorithm = algorithm.parse().unwrap();
    let key = SigningKey::generate(algorithm).unwrap();
    let key = SigningKey::from_pem(key.as_bytes()).unwrap();
    let set = KeySet::single(key.public().clone(), "one", algorithm);
    let set = KeySet::parse(set.to_json().as_bytes()).unwrap();
    Signer {
        key,
        algorithm,
        set,
    }
}

impl Signer {
    fn token(&self, claims: &Value) -> String {
        sign(claims, (&self.key, "one", self.algorithm)).unwrap()
    }

    fn judge(&self, claims: &Value, now: SystemTime) -> Result<Claims, String> {
        verify(&self.token(claims), &self.set, now).map_err(|error| error.to_string())
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn tokens_of_every_algorithm_are_verified_by_the_published_key_and_by_no_other() {
    let other = signer("ES256");
    for name in ALGORITHMS {
        let signer = signer(name);
        let token = signer.token(&json!({"sub": "me"}));
        let claims = verify(&token, &signer.set, at(0)).unwrap();
        assert_eq!(claims.sub.as_deref(), Some("me"), "{name}");
        assert_eq!(
            verify(&token, &other.set, at(0)),
            Err(TokenError::Signature)
        );
        let (start, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{start}A.{signature}");
        assert!(verify(&forged, &signer.set, at(0)).is_err(), "{name}");
        let unsigned = format!("{start}.");
        assert_eq!(
            verify(&unsigned, &signer.set, at(0)),
            Err(TokenError::Signature)
        );
    }
}

#[test]
fn another_library_believes_our_tokens() {
    for name in ALGORITHMS {
        // That library knows no P-521.
        if name == "ES512" {
            continue;
        }
        let signer = signer(name);
        let token = signer.token(&json!({"sub": "me", "exp": 4_000_000_000_u64}));
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&signer.set.to_json()).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&set.keys[0]).unwrap();
        let validation = jsonwebtoken::Validation::new(name.parse().unwrap());
        let read = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(read.claims["sub"], "me", "{name}");
        assert_eq!(read.header.kid.as_deref(), Some("one"));
    }
}

#[test]
fn times_are_judged_with_five_minutes_of_skew() {
    let signer = signer("EdDSA");
    let judge = |claims: Value, now: u64| signer.judge(&claims, at(now)).map(drop);
    let refused = |claim: &str| Err(format!("{claim:?} not satisfied"));
    assert_eq!(judge(json!({"exp": 1000}), 1299), Ok(()));
    assert_eq!(judge(json!({"exp": 1000}), 1300), refused("exp"));
    for claim in ["nbf", "iat"] {
        assert_eq!(judge(json!({claim: 1300}), 1000), Ok(()));
        assert_eq!(judge(json!({claim: 1301}), 1000), refused(claim));
    }
    assert_eq!(judge(json!({}), 1000), Ok(()));
    assert_eq!(judge(json!({"exp": 1e308}), 1000), Ok(()));
    assert_eq!(judge(json!({"exp": -1.5}), 1000), refused("exp"));
}

#[test]
fn audiences_are_one_or_many() {
    let signer = signer("EdDSA");
    let is_for = |aud: Value| {
        signer
            .judge(&json!({"aud": aud}), at(0))
            .unwrap()
            .is_for("me")
    };
    assert!(is_for(json!("me")) && is_for(json!(["you", "me"])));
    assert!(!is_for(json!("menu")) && !is_for(json!([])));
    assert!(!signer.judge(&json!({}), at(0)).unwrap().is_for("me"));
}

#[test]
fn what_is_no_signed_token_is_refused_and_not_repeated() {
    let signer = signer("EdDSA");
    let judge = |token: &str| verify(token, &signer.set, at(0)).unwrap_err().to_string();
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let three = |header: &str| format!("{}.{}.AA", part(header), part("{}"));
    for (token, expected) in [
        (String::new(), "three parts"),
        ("secret".to_owned(), "three parts"),
        ("a.b.c.d".to_owned(), "three parts"),
        ("a.b.!".to_owned(), "base64"),
        ("x".repeat(MAX_LENGTH + 1), "too long"),
        (three("nothing"), "not as it should be"),
        (three(r#"{"alg":"none","kid":"one"}"#), "could not verify"),
        (three(r#"{"alg":"HS256","kid":"one"}"#), "could not verify"),
        (three(r#"{"alg":"RS256","kid":"one"}"#), "could not verify"),
        (three(r#"{"alg":"EdDSA","kid":"two"}"#), "could not verify"),
        (three(r#"{"alg":"EdDSA"}"#), "could not verify"),
        (
            three(r#"{"alg":"EdDSA","kid":"one","crit":["x"]}"#),
            "critical",
        ),
    ] {
        let text = judge(&token);
        assert!(text.contains(expected), "{token}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn a_key_for_one_algorithm_verifies_no_other() {
    let signer = signer("RS256");
    let token = sign(&json!({}), (&signer.key, "one", Algorithm::Rs512)).unwrap();
    assert_eq!(
        verify(&token, &signer.set, at(0)),
        Err(TokenError::Signature)
    );
    let mut without: Value = serde_json::from_str(&signer.set.to_json()).unwrap();
    let key = without["keys"][0].as_object_mut().unwrap();
    assert_eq!(key.remove("alg"), Some(json!("RS256")));
    let set = KeySet::parse(without.to_string().as_bytes()).unwrap();
    assert!(verify(&token, &set, at(0)).is_ok(), "inferred from the key");
}
