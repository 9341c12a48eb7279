//! A key: what it is, and what its owner lets it be used for.

mod elliptic;
mod jwk;
mod parse;
mod pem;
mod rsa;

use std::fmt;

use serde_json::{Map, Value};
use trilby_components::crypto::{CryptoError, PublicKey};

pub use elliptic::{Curve, EdwardsKey, EllipticKey};
pub use parse::KeyError;
pub use rsa::RsaKey;

/// What is done with a key, as `key_ops` of a JSON Web Key names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Encrypt a message.
    Encrypt,
    /// Decrypt a message.
    Decrypt,
    /// Encrypt a key.
    WrapKey,
    /// Decrypt a key.
    UnwrapKey,
    /// Sign.
    Sign,
    /// Check a signature.
    Verify,
}

/// A key, and what it is for. `Debug` shows neither bytes nor names.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The key itself.
    pub material: Material,
    /// What it may be used for.
    pub purpose: Purpose,
}

/// The kinds of keys. One of any other kind does not parse.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// Bytes that both sides share; there is at least one.
    Symmetric(Vec<u8>),
    /// RSA, public or private.
    Rsa(RsaKey),
    /// One of NIST's curves, public or private.
    Elliptic(EllipticKey),
    /// Ed25519, public or private.
    Edwards(EdwardsKey),
    /// X25519, for which there is no operation.
    Montgomery,
}

/// What a JSON Web Key says about its own use. Every other form of key says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// `kid`.
    pub id: Option<String>,
    /// `use`: `enc` or `sig`; what it is for otherwise nobody may do here.
    pub usage: Option<String>,
    /// `key_ops`; none allows all.
    pub operations: Vec<String>,
    /// `alg`: the only algorithm.
    pub algorithm: Option<String>,
}

impl Operation {
    /// As `key_ops` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Sign => "sign",
            Self::Verify => "verify",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Encrypt | Self::Decrypt | Self::WrapKey | Self::UnwrapKey => "enc",
            Self::Sign | Self::Verify => "sig",
        }
    }
}

impl Purpose {
    /// Whether the key may be used so.
    ///
    /// # Errors
    /// It is for something else.
    pub fn permits(&self, operation: Operation, algorithm: &str) -> Result<(), CryptoError> {
        let name = operation.name();
        let listed = self.operations.is_empty() || self.operations.iter().any(|one| one == name);
        let usage = self.usage.as_deref();
        if !listed || usage.is_some_and(|usage| usage != operation.usage()) {
            let text = format!("key cannot perform the '{name}' operation");
            return Err(CryptoError::Forbidden(text));
        }
        match self.algorithm.as_deref() {
            Some(only) if only != algorithm => Err(CryptoError::Forbidden(format!(
                "key cannot be used with algorithm '{algorithm}'"
            ))),
            _ => Ok(()),
        }
    }
}

impl Key {
    /// Bytes that both sides share, for any purpose.
    ///
    /// # Errors
    /// There are none.
    pub fn symmetric(bytes: Vec<u8>) -> Result<Self, KeyError> {
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self::of(Material::Symmetric(bytes)))
    }

    fn of(material: Material) -> Self {
        let purpose = Purpose::default();
        Self { material, purpose }
    }

    /// The public half; `None` for a key that has none.
    ///
    /// # Errors
    /// The key cannot be written.
    pub fn public(&self) -> Result<Option<PublicKey>, KeyError> {
        let (der, mut jwk) = match &self.material {
            Material::Symmetric(_) => return Ok(None),
            Material::Rsa(key) => (key.public_der()?, key.jwk()),
            Material::Elliptic(key) => (key.public_der()?, key.jwk()),
            Material::Edwards(key) => (key.public_der()?, key.jwk()),
            Material::Montgomery => return Err(KeyError::Unsupported("OKP/X25519".into())),
        };
        self.describe(&mut jwk);
        Ok(Some(PublicKey { der, jwk }))
    }

    /// The bytes of the key: its own, PKCS #8 of a private key, PKIX of a public one.
    ///
    /// # Errors
    /// The key cannot be written.
    pub fn serialize(&self) -> Result<Vec<u8>, KeyError> {
        match &self.material {
            Material::Symmetric(bytes) => Ok(bytes.clone()),
            Material::Rsa(key) => key.private().map_or_else(|| key.public_der(), owned),
            Material::Elliptic(key) => key.private().map_or_else(|| key.public_der(), owned),
            Material::Edwards(key) => key.private().map_or_else(|| key.public_der(), owned),
            Material::Montgomery => Err(KeyError::Unsupported("OKP/X25519".into())),
        }
    }

    fn describe(&self, jwk: &mut Map<String, Value>) {
        let purpose = &self.purpose;
        let texts = [
            ("kid", &purpose.id),
            ("use", &purpose.usage),
            ("alg", &purpose.algorithm),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                jwk.insert(name.into(), value.as_str().into());
            }
        }
        if !purpose.operations.is_empty() {
            jwk.insert("key_ops".into(), purpose.operations.clone().into());
        }
    }
}

fn owned(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    Ok(bytes.to_vec())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.material.fmt(f)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric(_) => "Symmetric",
            Self::Rsa(_) => "Rsa",
            Self::Elliptic(_) => "Elliptic",
            Self::Edwards(_) => "Edwards",
            Self::Montgomery => "Montgomery",
        })
    }
}

#[cfg(test)]
mod tests;
