use serde_json::{Value, json};

use super::*;
use crate::jose::verify;

fn settings(algorithm: &str) -> TokenSettings {
    TokenSettings {
        algorithm: algorithm.parse().unwrap(),
        key_id: None,
        issuer: None,
        ttl: Duration::from_hours(1),
    }
}

fn jwks(documents: &TokenDocuments) -> Value {
    serde_json::from_slice(&documents.jwks).unwrap()
}

fn with_jwks(documents: &TokenDocuments, jwks: &Value) -> TokenDocuments {
    TokenDocuments {
        jwks: jwks.to_string().into_bytes(),
        ..documents.clone()
    }
}

fn part(token: &str, index: usize) -> Value {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn refused(documents: &TokenDocuments, settings: &TokenSettings) -> String {
    TokenIssuer::new(documents, settings)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_token_says_who_for_whom_and_how_long() {
    let settings = TokenSettings {
        issuer: Some("https://issuer".to_owned()),
        ..settings("RS256")
    };
    let documents = TokenDocuments::generate(&settings).unwrap();
    let issuer = TokenIssuer::new(&documents, &settings).unwrap();
    let id: SpiffeId = "spiffe://public/ns/shop/cart".parse().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
    let issue = || issuer.issue(&id, &["public", "me"], (now, Duration::from_mins(15)));
    let token = issue().unwrap();
    let kid = issuer.key.public().thumbprint();
    assert_eq!(
        part(&token, 0),
        json!({"alg": "RS256", "kid": kid, "typ": "JWT"})
    );
    let mut claims = part(&token, 1);
    let unique = claims["jti"].take();
    assert_eq!(
        claims,
        json!({
            "aud": ["public", "me"], "sub": "spiffe://public/ns/shop/cart", "iss": "https://issuer", "use": "sig",
            "iat": 10_000, "nbf": 9_100, "exp": 13_600, "jti": null,
        })
    );
    assert_eq!(unique.as_str().unwrap().len(), 32);
    assert_ne!(
        part(&issue().unwrap(), 1)["jti"],
        unique,
        "no two are the same"
    );
    assert!(verify(&token, issuer.key_set(), now).unwrap().is_for("me"));
}

#[test]
fn a_generated_key_set_is_upstreams_in_shape() {
    let documents = TokenDocuments::generate(&settings("RS256")).unwrap();
    let mut key = jwks(&documents)["keys"][0].take();
    let key = key.as_object_mut().unwrap();
    let mut members: Vec<_> = key.keys().collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(
        (&key["alg"], &key["use"], &key["e"]),
        (&json!("RS256"), &json!("sig"), &json!("AQAB"))
    );
    assert!(key["kid"].as_str().unwrap().ends_with('='), "padded base64");
    assert!(documents.key.starts_with(b"-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn a_fresh_key_is_of_the_kind_that_the_algorithm_needs_and_has_the_name_asked_for() {
    for algorithm in ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"] {
        let settings = TokenSettings {
            key_id: Some("mine".to_owned()),
            ..settings(algorithm)
        };
        let documents = TokenDocuments::generate(&settings).unwrap();
        let issuer = TokenIssuer::new(&documents, &settings).unwrap();
        assert_eq!(issuer.key_id, "mine");
        assert_eq!(jwks(&documents)["keys"][0]["kid"], "mine");
        assert_eq!(jwks(&documents)["keys"][0]["alg"], algorithm);
    }
}

#[test]
fn tokens_call_the_key_as_the_set_does() {
    let settings = settings("EdDSA");
    let documents = TokenDocuments::generate(&settings).unwrap();
    let mut set = jwks(&documents);
    set["keys"][0]["kid"] = json!("their own");
    let issuer = TokenIssuer::new(&with_jwks(&documents, &set), &settings).unwrap();
    assert_eq!(issuer.key_id, "their own");
    // Without a name it gets one, in the published set as well.
    set["keys"][0].as_object_mut().unwrap().remove("kid");
    let issuer = TokenIssuer::new(&with_jwks(&documents, &set), &settings).unwrap();
    assert_eq!(issuer.key_id, issuer.key.public().thumbprint());
    assert!(issuer.key_set().knows(&issuer.key_id));
}

#[test]
fn documents_that_do_not_fit_are_named() {
    let rsa = settings("RS256");
    let documents = TokenDocuments::generate(&rsa).unwrap();
    let other = TokenDocuments::generate(&rsa).unwrap();
    assert_eq!(
        refused(&with_jwks(&documents, &jwks(&other)), &rsa),
        "jwks.json doesn't contain a matching public key for the JWT signing key"
    );
    let named = TokenSettings {
        key_id: Some("a".to_owned()),
        ..rsa.clone()
    };
    assert_eq!(
        refused(&documents, &named),
        "jwks.json doesn't contain a key with user-provided key ID \"a\""
    );
    let mut set = jwks(&other);
    set["keys"][0]["kid"] = json!("a");
    let text = refused(&with_jwks(&documents, &set), &named);
    assert!(
        text.ends_with("but the key content doesn't match the signing key"),
        "{text}"
    );
    let text = refused(&documents, &settings("ES256"));
    assert_eq!(
        text,
        "jwt.key: cannot sign with ES256, which needs a key of kind P-256: this one is RSA"
    );
    let no_key = TokenDocuments {
        key: b"nonsense".to_vec(),
        ..documents.clone()
    };
    assert_eq!(
        refused(&no_key, &rsa),
        "jwt.key: contains no private key in PEM"
    );
    for empty in [&b""[..], b"{\"keys\":[]}"] {
        let no_set = TokenDocuments {
            jwks: empty.to_vec(),
            ..documents.clone()
        };
        assert!(refused(&no_set, &rsa).starts_with("jwks.json: "));
    }
    assert!("HS256".parse::<Algorithm>().is_err() && "none".parse::<Algorithm>().is_err());
}

#[test]
fn keys_of_others_in_every_pem_form_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    for (arguments, algorithm) in [
        (&["genrsa", "-traditional", "-out"][..], "PS384"),
        (&["genpkey", "-algorithm", "RSA", "-out"], "RS256"),
        (
            &[
                "ecparam",
                "-genkey",
                "-noout",
                "-name",
                "prime256v1",
                "-out",
            ],
            "ES256",
        ),
        (
            &["ecparam", "-genkey", "-noout", "-name", "secp384r1", "-out"],
            "ES384",
        ),
        (
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-521",
                "-out",
            ],
            "ES512",
        ),
        (&["genpkey", "-algorithm", "ED25519", "-out"], "EdDSA"),
    ] {
        let done = std::process::Command::new("openssl")
            .args(arguments)
            .arg(&path)
            .output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{done:?}");
        let pem = std::fs::read(&path).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        key.check(algorithm.parse().unwrap()).unwrap();
        key.sign(algorithm.parse().unwrap(), b"x").unwrap();
    }
}
