//! The public half of a key, as a JWK holds it.

use aws_lc_rs::{
    digest,
    signature::{
        self, EcdsaVerificationAlgorithm, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};

use super::algorithm::{Algorithm, KeyKind};

/// The first byte of a point of which both coordinates are given.
const UNCOMPRESSED: u8 = 4;

/// A key that signatures are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point of a NIST curve, uncompressed.
    Ec { kind: KeyKind, point: Vec<u8> },
    /// Ed25519.
    Edwards(Vec<u8>),
}

impl PublicKey {
    /// The key of a JWK, if it is of a kind that is known and complete.
    pub(crate) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name)?.trim_end_matches('=');
            BASE64_URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .filter(|bytes| !bytes.is_empty())
        };
        match (text("kty")?, text("crv")) {
            ("RSA", _) => Some(Self::Rsa {
                n: without_leading_zeros(bytes("n")?),
                e: without_leading_zeros(bytes("e")?),
            }),
            ("EC", Some(curve)) => {
                let (kind, length) = curve_of(curve)?;
                let (x, y) = (padded(bytes("x")?, length)?, padded(bytes("y")?, length)?);
                let point = [&[UNCOMPRESSED][..], &x, &y].concat();
                Some(Self::Ec { kind, point })
            }
            ("OKP", Some("Ed25519")) => {
                let key = bytes("x")?;
                (key.len() == 32).then_some(Self::Edwards(key))
            }
            _ => None,
        }
    }

    /// What it can verify.
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::Ec { kind, .. } => *kind,
            Self::Edwards(_) => KeyKind::Ed25519,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if algorithm.key_kind() != self.kind() {
            return false;
        }
        match self {
            Self::Rsa { n, e } => rsa_parameters(algorithm).is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).is_ok()
            }),
            Self::Ec { kind, point } => ec_parameters(*kind).is_some_and(|parameters| {
                UnparsedPublicKey::new(parameters, point)
                    .verify(message, signature)
                    .is_ok()
            }),
            Self::Edwards(key) => UnparsedPublicKey::new(&signature::ED25519, key)
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// The members of a JWK that are the key itself, in the order that its thumbprint wants.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let members = match self {
            Self::Rsa { n, e } => json!({"e": text(e), "kty": "RSA", "n": text(n)}),
            Self::Ec { kind, point } => {
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({"crv": kind.to_string(), "kty": "EC", "x": text(x), "y": text(y)})
            }
            Self::Edwards(key) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(key)}),
        };
        match members {
            Value::Object(members) => members,
            _ => unreachable!("made as an object"),
        }
    }

    /// Its name after RFC 7638 with SHA-256, in upstream's base64: the standard alphabet, padded.
    pub(crate) fn thumbprint(&self) -> String {
        let mut members: Vec<_> = self.members().into_iter().collect();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let canonical: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let canonical = format!("{{{}}}", canonical.join(","));
        BASE64_STANDARD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }
}

fn curve_of(name: &str) -> Option<(KeyKind, usize)> {
    match name {
        "P-256" => Some((KeyKind::P256, 32)),
        "P-384" => Some((KeyKind::P384, 48)),
        "P-521" => Some((KeyKind::P521, 66)),
        _ => None,
    }
}

/// Coordinates have a fixed length; writers that drop leading zeros are forgiven.
fn padded(bytes: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    let missing = length.checked_sub(bytes.len())?;
    Some([vec![0; missing], bytes].concat())
}

pub(super) fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}

/// RSA keys of 2048 bits and more; smaller ones verify nothing.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn ec_parameters(kind: KeyKind) -> Option<&'static EcdsaVerificationAlgorithm> {
    match kind {
        KeyKind::P256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        KeyKind::P384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        KeyKind::P521 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        KeyKind::Rsa | KeyKind::Ed25519 => None,
    }
}
