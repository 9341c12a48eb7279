//! A private key that signs tokens.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    },
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use trilby_identity::pem;
use x509_parser::{prelude::FromDer as _, public_key::RSAPublicKey};

use super::{
    algorithm::{Algorithm, KeyKind},
    public_key::{PublicKey, without_leading_zeros},
};

const CURVES: [(KeyKind, &EcdsaSigningAlgorithm); 3] = [
    (KeyKind::P256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
    (KeyKind::P384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
    (KeyKind::P521, &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
];

/// See the module. `Debug` shows the public half only.
pub(crate) struct SigningKey {
    private: Private,
    public: PublicKey,
}

enum Private {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

/// Why a key cannot sign tokens. Never says anything of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SigningKeyError {
    #[error("contains no private key in PEM")]
    Pem,
    #[error(
        "is no RSA key of 2048 bits or more, no key on P-256, P-384 or P-521, and no Ed25519 key"
    )]
    Kind,
    #[error("cannot sign with {algorithm}, which needs a key of kind {needs}: this one is {is}")]
    Algorithm {
        algorithm: Algorithm,
        needs: KeyKind,
        is: KeyKind,
    },
    #[error("no key could be made or used: {0}")]
    Unspecified(&'static str),
}

impl SigningKey {
    /// A new key for `algorithm`, as PEM (PKCS#8).
    pub(crate) fn generate(algorithm: Algorithm) -> Result<String, SigningKeyError> {
        let failed = |_| SigningKeyError::Unspecified("no key could be generated");
        let der = match algorithm.key_kind() {
            KeyKind::Rsa => {
                let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                key.as_der().map_err(failed)?.as_ref().to_vec()
            }
            KeyKind::Ed25519 => {
                let random = SystemRandom::new();
                let key = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(failed)?;
                key.as_ref().to_vec()
            }
            kind => {
                let curve = curve(kind).ok_or(SigningKeyError::Kind)?;
                let key = EcdsaKeyPair::generate(curve).map_err(failed)?;
                key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
            }
        };
        Ok(pem::encode("PRIVATE KEY", &der))
    }

    /// Reads PEM: PKCS#8, `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, SigningKeyError> {
        let der = PrivateKeyDer::from_pem_slice(text).map_err(|_| SigningKeyError::Pem)?;
        let private = match &der {
            PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).ok()),
            PrivateKeyDer::Sec1(der) => elliptic(der.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                rsa(RsaKeyPair::from_pkcs8(der).ok())
                    .or_else(|| elliptic(der))
                    .or_else(|| edwards(der))
            }
            _ => None,
        };
        let (private, public) = private.ok_or(SigningKeyError::Kind)?;
        Ok(Self { private, public })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Whether tokens can be signed with `algorithm`.
    pub(crate) fn check(&self, algorithm: Algorithm) -> Result<(), SigningKeyError> {
        let (needs, is) = (algorithm.key_kind(), self.public.kind());
        if needs == is {
            return Ok(());
        }
        Err(SigningKeyError::Algorithm {
            algorithm,
            needs,
            is,
        })
    }

    /// Signs `message`; `algorithm` is one that [`SigningKey::check`] accepts.
    pub(crate) fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningKeyError> {
        let failed = |_| SigningKeyError::Unspecified("the signature failed");
        self.check(algorithm)?;
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa(key) => {
                let encoding = rsa_encoding(algorithm).ok_or(SigningKeyError::Kind)?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Private::Ec(key) => {
                let signature = key.sign(&random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Private::Edwards(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.kind())
    }
}

/// Smaller keys than of 2048 bits are not taken: no verifier would believe them.
fn rsa(key: Option<RsaKeyPair>) -> Option<(Private, PublicKey)> {
    let key = key.filter(|key| key.public_modulus_len() >= 256)?;
    let (_, public) = RSAPublicKey::from_der(key.public_key().as_ref()).ok()?;
    let public = PublicKey::Rsa {
        n: without_leading_zeros(public.modulus.to_vec()),
        e: without_leading_zeros(public.exponent.to_vec()),
    };
    Some((Private::Rsa(key), public))
}

fn elliptic(der: &[u8]) -> Option<(Private, PublicKey)> {
    CURVES.into_iter().find_map(|(kind, curve)| {
        let key = EcdsaKeyPair::from_private_key_der(curve, der).ok()?;
        let point = key.public_key().as_ref().to_vec();
        Some((Private::Ec(key), PublicKey::Ec { kind, point }))
    })
}

fn edwards(der: &[u8]) -> Option<(Private, PublicKey)> {
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
    let public = PublicKey::Edwards(key.public_key().as_ref().to_vec());
    Some((Private::Edwards(key), public))
}

fn curve(kind: KeyKind) -> Option<&'static EcdsaSigningAlgorithm> {
    let mut curves = CURVES.into_iter();
    curves
        .find(|(known, _)| *known == kind)
        .map(|(_, curve)| curve)
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}
