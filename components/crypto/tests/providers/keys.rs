//! Keys that are made for one run, in the forms that places keep them in.

use aws_lc_rs::{
    encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use trilby_components::conformance::crypto::KeyNames;

/// What the keys of [`Made`] are called.
pub(crate) const NAMES: KeyNames<'static> = KeyNames {
    shared: "shared",
    other: "other",
    rsa: "rsa.pem",
    elliptic: "elliptic.pem",
    edwards: "edwards.pem",
    absent: "absent",
};

/// One key of each kind.
pub(crate) struct Made {
    rsa: Vec<u8>,
    elliptic: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

impl Made {
    pub(crate) fn new() -> Self {
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
        Self {
            rsa: der.as_ref().to_vec(),
            elliptic: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            edwards: Ed25519KeyPair::generate().unwrap(),
        }
    }

    /// A file for each.
    pub(crate) fn files(&self) -> Vec<(&'static str, String)> {
        vec![
            (NAMES.shared, BASE64_STANDARD.encode([1; 32])),
            (NAMES.other, encoded(&[0xff; 32])),
            (NAMES.rsa, pem(&self.rsa)),
            (
                NAMES.elliptic,
                pem(self.elliptic.to_pkcs8v1().unwrap().as_ref()),
            ),
            (
                NAMES.edwards,
                pem(self.edwards.to_pkcs8v1().unwrap().as_ref()),
            ),
        ]
    }

    /// All in one set.
    pub(crate) fn set(&self) -> Value {
        json!({ "keys": [
            shared(NAMES.shared, 1),
            shared(NAMES.other, 0xff),
            { "kty": "future", "kid": "of a kind that nobody knows" },
            rsa(&self.rsa),
            elliptic(&self.elliptic),
            {
                "kty": "OKP", "crv": "Ed25519", "kid": NAMES.edwards,
                "x": encoded(self.edwards.public_key().as_ref()),
                "d": encoded(self.edwards.seed().unwrap().as_be_bytes().unwrap().as_ref()),
            },
        ]})
    }
}

/// 32 times the same byte.
pub(crate) fn shared(name: &str, byte: u8) -> Value {
    json!({ "kty": "oct", "kid": name, "k": encoded(&[byte; 32]) })
}

fn elliptic(pair: &EcdsaKeyPair) -> Value {
    let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    json!({
        "kty": "EC", "crv": "P-256", "kid": NAMES.elliptic,
        "x": encoded(x), "y": encoded(y), "d": encoded(private.as_ref()),
    })
}

/// The numbers of a private key in PKCS #8.
fn rsa(pkcs8: &[u8]) -> Value {
    let (_, mut outer) = element(&mut &pkcs8[..]);
    element(&mut outer);
    element(&mut outer);
    let (_, mut octets) = element(&mut outer);
    let (_, mut numbers) = element(&mut octets);
    element(&mut numbers);
    let mut jwk = json!({ "kty": "RSA", "kid": NAMES.rsa });
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        jwk[name] = encoded(element(&mut numbers).1).into();
    }
    jwk
}

/// Takes the first element of DER: its tag and its content.
fn element<'a>(der: &mut &'a [u8]) -> (u8, &'a [u8]) {
    let (tag, first) = (der[0], usize::from(der[1]));
    let more = if first < 0x80 { 0 } else { first & 0x7f };
    let length = match more {
        0 => first,
        _ => der[2..2 + more]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    let (content, rest) = der[2 + more..].split_at(length);
    *der = rest;
    (tag, content)
}
