//! Signatures of digests: RSA (PKCS #1 v1.5 and PSS), ECDSA in ASN.1, and Ed25519, which signs messages.

use aws_lc_rs::{
    digest::{self, Digest},
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ED25519, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
        RsaParameters,
    },
};

use super::AlgorithmError;
use crate::key::{Curve, EdwardsKey, EllipticKey, Key, Material, RsaKey};

type Hashes = &'static digest::Algorithm;

/// An algorithm that signs.
#[derive(Clone, Copy)]
enum Scheme {
    Rsa(Hashes, &'static dyn RsaEncoding, &'static RsaParameters),
    Elliptic(Curve, Hashes),
    Edwards,
}

fn scheme(name: &str) -> Option<Scheme> {
    use digest::{SHA256, SHA384, SHA512};
    Some(match name {
        "RS256" => Scheme::Rsa(&SHA256, &RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Scheme::Rsa(&SHA384, &RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Scheme::Rsa(&SHA512, &RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Scheme::Rsa(&SHA256, &RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
        "PS384" => Scheme::Rsa(&SHA384, &RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384),
        "PS512" => Scheme::Rsa(&SHA512, &RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512),
        "ES256" => Scheme::Elliptic(Curve::P256, &SHA256),
        "ES384" => Scheme::Elliptic(Curve::P384, &SHA384),
        "ES512" => Scheme::Elliptic(Curve::P521, &SHA512),
        "EdDSA" => Scheme::Edwards,
        _ => return None,
    })
}

/// Signs a digest; with `EdDSA` the message itself.
///
/// # Errors
/// See [`AlgorithmError`].
pub fn sign(key: &Key, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let scheme = scheme(algorithm).ok_or(AlgorithmError::Unsupported)?;
    match (scheme, &key.material) {
        (Scheme::Rsa(hash, encoding, _), Material::Rsa(key)) => {
            sign_rsa(key, encoding, imported(message, hash)?)
        }
        (Scheme::Elliptic(curve, hash), Material::Elliptic(key)) if key.curve == curve => {
            sign_elliptic(key, imported(message, hash)?)
        }
        (Scheme::Edwards, Material::Edwards(key)) => sign_edwards(key, message),
        _ => Err(AlgorithmError::KeyMismatch),
    }
}

/// Whether a signature of a digest is good; with `EdDSA` of the message itself.
///
/// # Errors
/// See [`AlgorithmError`]; a bad signature is none.
pub fn verify(
    key: &Key,
    algorithm: &str,
    (message, signature): (&[u8], &[u8]),
) -> Result<bool, AlgorithmError> {
    let scheme = scheme(algorithm).ok_or(AlgorithmError::Unsupported)?;
    let mismatch = |_| AlgorithmError::KeyMismatch;
    match (scheme, &key.material) {
        (Scheme::Rsa(hash, _, parameters), Material::Rsa(key)) => {
            let der = key.public_der().map_err(|_| AlgorithmError::KeyMismatch)?;
            let key = ParsedPublicKey::new(parameters, der).map_err(mismatch)?;
            let digest = imported(message, hash)?;
            Ok(key.verify_digest_sig(&digest, signature).is_ok())
        }
        (Scheme::Elliptic(curve, hash), Material::Elliptic(key)) if key.curve == curve => {
            let key = ParsedPublicKey::new(curve.verification(), key.point()).map_err(mismatch)?;
            let digest = imported(message, hash)?;
            Ok(key.verify_digest_sig(&digest, signature).is_ok())
        }
        (Scheme::Edwards, Material::Edwards(key)) => {
            let key = ParsedPublicKey::new(&ED25519, key.bytes()).map_err(mismatch)?;
            Ok(key.verify_sig(message, signature).is_ok())
        }
        _ => Err(AlgorithmError::KeyMismatch),
    }
}

fn imported(digest: &[u8], hash: Hashes) -> Result<Digest, AlgorithmError> {
    Digest::import_less_safe(digest, hash).map_err(|_| AlgorithmError::DigestLength)
}

fn sign_rsa(
    key: &RsaKey,
    encoding: &'static dyn RsaEncoding,
    digest: Digest,
) -> Result<Vec<u8>, AlgorithmError> {
    let private = key.private().ok_or(AlgorithmError::KeyMismatch)?;
    let pair = RsaKeyPair::from_pkcs8(private).map_err(|_| AlgorithmError::KeyMismatch)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    let signed = pair.sign_digest(encoding, &digest, &mut signature);
    signed.map_err(|_| AlgorithmError::Failed)?;
    Ok(signature)
}

fn sign_elliptic(key: &EllipticKey, digest: Digest) -> Result<Vec<u8>, AlgorithmError> {
    let private = key.private().ok_or(AlgorithmError::KeyMismatch)?;
    let pair = EcdsaKeyPair::from_pkcs8(key.curve.signing(), private);
    let pair = pair.map_err(|_| AlgorithmError::KeyMismatch)?;
    let signature = pair.sign_digest(&digest);
    let signature = signature.map_err(|_| AlgorithmError::Failed)?;
    Ok(signature.as_ref().to_vec())
}

fn sign_edwards(key: &EdwardsKey, message: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let private = key.private().ok_or(AlgorithmError::KeyMismatch)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private);
    let pair = pair.map_err(|_| AlgorithmError::KeyMismatch)?;
    Ok(pair.sign(message).as_ref().to_vec())
}
