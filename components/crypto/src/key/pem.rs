//! Keys in PEM (RFC 7468): PKCS #1, PKCS #8, SEC 1 and PKIX.

use aws_lc_rs::{
    rsa::{KeyPair, PublicKey},
    signature::{EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Curve, EdwardsKey, EllipticKey, Key, Material, RsaKey, parse::KeyError};

/// Reads the first block.
pub(super) fn parse(bytes: &[u8]) -> Result<Key, KeyError> {
    let (label, der) = block(bytes)?;
    let material = match label.as_str() {
        "PRIVATE KEY" => private(&der),
        "RSA PRIVATE KEY" => rsa(KeyPair::from_der(&der).ok()),
        "EC PRIVATE KEY" => elliptic(&der),
        "PUBLIC KEY" => public(&der),
        "RSA PUBLIC KEY" => rsa_public(&der),
        _ => return Err(KeyError::Unsupported(format!("PEM of a {label}"))),
    };
    material.map(Key::of).ok_or(KeyError::Invalid("PEM"))
}

/// The label and the content of the first block.
fn block(bytes: &[u8]) -> Result<(String, Vec<u8>), KeyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::Pem)?;
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::Pem)?;
    let (label, rest) = rest.split_once("-----").ok_or(KeyError::Pem)?;
    let end = format!("-----END {label}-----");
    let (content, _) = rest.split_once(&end).ok_or(KeyError::Pem)?;
    let content: String = content.split_ascii_whitespace().collect();
    let der = BASE64_STANDARD.decode(content).map_err(|_| KeyError::Pem)?;
    Ok((label.to_owned(), der))
}

fn private(der: &[u8]) -> Option<Material> {
    let edwards = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
    rsa(KeyPair::from_pkcs8(der).ok())
        .or_else(|| elliptic(der))
        .or_else(|| EdwardsKey::pair(&edwards()?).ok().map(Material::Edwards))
}

fn public(der: &[u8]) -> Option<Material> {
    let on = |curve| EllipticKey::public(curve, der).ok();
    rsa_public(der)
        .or_else(|| Curve::ALL.into_iter().find_map(on).map(Material::Elliptic))
        .or_else(|| EdwardsKey::public(der).ok().map(Material::Edwards))
}

fn rsa(pair: Option<KeyPair>) -> Option<Material> {
    RsaKey::pair(&pair?).ok().map(Material::Rsa)
}

fn rsa_public(der: &[u8]) -> Option<Material> {
    let key = PublicKey::from_der(der).ok()?;
    RsaKey::public(&key).ok().map(Material::Rsa)
}

fn elliptic(der: &[u8]) -> Option<Material> {
    Curve::ALL.into_iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
        EllipticKey::pair(curve, &pair).ok().map(Material::Elliptic)
    })
}
