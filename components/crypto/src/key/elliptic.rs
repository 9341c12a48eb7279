//! Keys on elliptic curves.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
        ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair,
        KeyPair as _, ParsedPublicKey, VerificationAlgorithm,
    },
};
use serde_json::{Map, Value, json};

use super::{jwk::encoded, parse::KeyError};

/// Before a point that is not compressed (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// NIST's curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    pub(super) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// As JSON Web Keys name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Of one coordinate, in bytes.
    fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// How the curve signs, with the hash that RFC 7518 pairs with it.
    #[must_use]
    pub fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    /// How its signatures are checked.
    #[must_use]
    pub fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }
}

/// A key on one of NIST's curves.
#[derive(Clone, PartialEq, Eq)]
pub struct EllipticKey {
    /// Its curve.
    pub curve: Curve,
    /// Not compressed, with its prefix.
    point: Vec<u8>,
    /// PKCS #8.
    private: Option<Vec<u8>>,
}

impl EllipticKey {
    /// A pair; anything else that is no pair of this curve is refused.
    pub(super) fn pair(curve: Curve, pair: &EcdsaKeyPair) -> Result<Self, KeyError> {
        let private = pair.to_pkcs8v1();
        let private = private.map_err(|_| KeyError::Invalid(curve.name()))?;
        Ok(Self {
            curve,
            point: pair.public_key().as_ref().to_vec(),
            private: Some(private.as_ref().to_vec()),
        })
    }

    /// A public key: its point, or its PKIX form.
    pub(super) fn public(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        let invalid = || KeyError::Invalid(curve.name());
        let der = pkix(curve.verification(), bytes).ok_or_else(invalid)?;
        // What it ends with is the key.
        let at = der.len().checked_sub(1 + 2 * curve.width());
        let point = at.and_then(|at| der.get(at..)).ok_or_else(invalid)?;
        if point.first() != Some(&UNCOMPRESSED) {
            return Err(invalid());
        }
        Ok(Self {
            curve,
            point: point.to_vec(),
            private: None,
        })
    }

    /// From the members of a JSON Web Key.
    pub(super) fn from_numbers(
        curve: Curve,
        (x, y): (&[u8], &[u8]),
        private: Option<&[u8]>,
    ) -> Result<Self, KeyError> {
        let invalid = || KeyError::Invalid(curve.name());
        let width = curve.width();
        let mut point = vec![UNCOMPRESSED];
        point.extend(padded(x, width).ok_or_else(invalid)?);
        point.extend(padded(y, width).ok_or_else(invalid)?);
        let Some(private) = private else {
            return Self::public(curve, &point);
        };
        let private = padded(private, width).ok_or_else(invalid)?;
        let signing = curve.signing();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &private, &point);
        Self::pair(curve, &pair.map_err(|_| invalid())?)
    }

    /// PKCS #8; `None` for a public key.
    #[must_use]
    pub fn private(&self) -> Option<&[u8]> {
        self.private.as_deref()
    }

    /// The public point, not compressed.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// PKIX.
    ///
    /// # Errors
    /// There are none for a key that exists.
    pub fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let invalid = || KeyError::Invalid(self.curve.name());
        pkix(self.curve.verification(), &self.point).ok_or_else(invalid)
    }

    pub(super) fn jwk(&self) -> Map<String, Value> {
        let (x, y) = self.point[1..].split_at(self.curve.width());
        let members = json!({
            "kty": "EC",
            "crv": self.curve.name(),
            "x": encoded(x),
            "y": encoded(y),
        });
        members.as_object().cloned().unwrap_or_default()
    }
}

/// An Ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct EdwardsKey {
    public: Vec<u8>,
    /// PKCS #8.
    private: Option<Vec<u8>>,
}

impl EdwardsKey {
    /// Of a public key, in bytes.
    const WIDTH: usize = 32;

    pub(super) fn pair(pair: &Ed25519KeyPair) -> Result<Self, KeyError> {
        let private = pair.to_pkcs8v1();
        let private = private.map_err(|_| KeyError::Invalid("Ed25519"))?;
        Ok(Self {
            public: pair.public_key().as_ref().to_vec(),
            private: Some(private.as_ref().to_vec()),
        })
    }

    /// A public key: its bytes, or its PKIX form.
    pub(super) fn public(bytes: &[u8]) -> Result<Self, KeyError> {
        let invalid = || KeyError::Invalid("Ed25519");
        let der = pkix(&ED25519, bytes).ok_or_else(invalid)?;
        let at = der.len().checked_sub(Self::WIDTH);
        let public = at.and_then(|at| der.get(at..)).ok_or_else(invalid)?;
        Ok(Self {
            public: public.to_vec(),
            private: None,
        })
    }

    /// From the members of a JSON Web Key.
    pub(super) fn from_seed(seed: &[u8], public: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
        Self::pair(&pair.map_err(|_| KeyError::Invalid("Ed25519"))?)
    }

    /// PKCS #8; `None` for a public key.
    #[must_use]
    pub fn private(&self) -> Option<&[u8]> {
        self.private.as_deref()
    }

    /// The bytes of the public key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.public
    }

    /// PKIX.
    ///
    /// # Errors
    /// There are none for a key that exists.
    pub fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        pkix(&ED25519, &self.public).ok_or(KeyError::Invalid("Ed25519"))
    }

    pub(super) fn jwk(&self) -> Map<String, Value> {
        let members = json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(&self.public) });
        members.as_object().cloned().unwrap_or_default()
    }
}

/// The PKIX form of a public key in any form.
fn pkix(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Option<Vec<u8>> {
    let parsed = ParsedPublicKey::new(algorithm, bytes).ok()?;
    let der: PublicKeyX509Der<'_> = parsed.as_der().ok()?;
    Some(der.as_ref().to_vec())
}

/// A number in so many bytes; `None` if it does not fit.
fn padded(number: &[u8], width: usize) -> Option<Vec<u8>> {
    let number = super::rsa::without_zeros(number);
    let zeros = width.checked_sub(number.len())?;
    let mut padded = vec![0; zeros];
    padded.extend_from_slice(number);
    Some(padded)
}
