use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Curve, Key, KeyError, Material, Operation, Purpose};

fn symmetric(text: &[u8]) -> Vec<u8> {
    match Key::parse(text, "").unwrap().material {
        Material::Symmetric(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A new private key of each kind, in PKCS #8.
fn private_keys() -> Vec<Vec<u8>> {
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let edwards = Ed25519KeyPair::generate().unwrap();
    let mut keys = vec![
        rsa.as_ref().to_vec(),
        edwards.to_pkcs8v1().unwrap().as_ref().to_vec(),
    ];
    for curve in Curve::ALL {
        let pair = EcdsaKeyPair::generate(curve.signing()).unwrap();
        keys.push(pair.to_pkcs8v1().unwrap().as_ref().to_vec());
    }
    keys
}

/// As upstream: also where the bytes are a key by chance.
#[test]
fn what_looks_like_base64_is_decoded() {
    let key: Vec<u8> = (200..232).collect();
    assert_eq!(symmetric(&key), key);
    assert_eq!(symmetric(BASE64_STANDARD.encode(&key).as_bytes()), key);
    let wrapped = format!("{}\n", BASE64_STANDARD.encode(&key));
    assert_eq!(symmetric(wrapped.as_bytes()), key);
    assert_eq!(symmetric(b"-_-_"), [0xfb, 0xff, 0xbf]);
    assert_eq!(symmetric(b"abcdefghijklmnopqrstuvwxyz012345").len(), 24);
    assert_eq!(
        symmetric(b"not base64, so the key itself!!!"),
        b"not base64, so the key itself!!!"
    );
    assert_eq!(symmetric(b"{ sixteen bytes}"), b"{ sixteen bytes}");
}

#[test]
fn what_is_no_key_says_why() {
    for (bytes, content_type, error) in [
        (&b""[..], "", KeyError::Empty),
        (b"=\n", "", KeyError::Empty),
        (b"-----BEGIN A", "", KeyError::Pem),
        (
            b"-----BEGIN X-----\nAA==\n-----END X-----",
            "",
            KeyError::Unsupported("PEM of a X".into()),
        ),
        (
            b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----",
            "",
            KeyError::Invalid("PEM"),
        ),
        (b"AA==", "application/pkcs8", KeyError::Pem),
        (br#"{"kty":"oct"}"#, "", KeyError::Missing("k")),
        (br#"{"kty":"oct","k":""}"#, "", KeyError::Empty),
        (br#"{"kty":"oct","k":"!"}"#, "", KeyError::Member("k")),
        (br#"{"kty":"X"}"#, "", KeyError::Unsupported("X".into())),
        (
            br#"{"kty":"EC","crv":"P-224"}"#,
            "",
            KeyError::Unsupported("EC/P-224".into()),
        ),
        (
            br#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            "",
            KeyError::Invalid("P-256"),
        ),
        (
            br#"{"kty":"RSA","n":"AQ","e":"AQAB"}"#,
            "",
            KeyError::Invalid("RSA"),
        ),
        (
            br#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            "",
            KeyError::Invalid("Ed25519"),
        ),
    ] {
        let parsed = Key::parse(bytes, content_type);
        assert_eq!(
            parsed.unwrap_err(),
            error,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn every_kind_of_key_comes_back_from_every_form() {
    for der in private_keys() {
        let key = Key::parse(pem("PRIVATE KEY", &der).as_bytes(), "").unwrap();
        assert_eq!(key.serialize().unwrap(), der, "{key:?}");
        let shown = key.public().unwrap().unwrap();
        let public = Key::parse(pem("PUBLIC KEY", &shown.der).as_bytes(), "").unwrap();
        assert_eq!(public.serialize().unwrap(), shown.der, "{key:?}");
        assert_ne!(public, key);
        let jwk = Value::Object(shown.jwk);
        assert_eq!(Key::from_jwk(jwk.clone()).unwrap(), public, "{jwk}");
        let text = format!("{key:?}{public:?}");
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphabetic()),
            "nothing of a key is shown: {text}"
        );
    }
}

#[test]
fn a_jwk_is_used_for_what_it_says_only() {
    let key = Key::from_jwk(json!({
        "kty": "oct", "k": "AAAA", "kid": "a", "use": "enc", "key_ops": ["wrapKey", "sign"], "alg": "A256KW",
    }));
    let purpose = key.unwrap().purpose;
    assert_eq!(purpose.id.as_deref(), Some("a"));
    assert!(purpose.permits(Operation::WrapKey, "A256KW").is_ok());
    for (operation, algorithm, text) in [
        (
            Operation::WrapKey,
            "A128KW",
            "key cannot be used with algorithm 'A128KW'",
        ),
        (
            Operation::UnwrapKey,
            "A256KW",
            "key cannot perform the 'unwrapKey' operation",
        ),
        (
            Operation::Sign,
            "A256KW",
            "key cannot perform the 'sign' operation",
        ),
    ] {
        let error = purpose.permits(operation, algorithm).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert!(Purpose::default().permits(Operation::Verify, "any").is_ok());
}
