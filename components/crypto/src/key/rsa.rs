//! RSA keys.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, PublicKey, PublicKeyComponents},
    signature::KeyPair as _,
};
use serde_json::{Map, Value, json};

use super::{jwk::encoded, parse::KeyError};

/// An RSA key of 2048 to 8192 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// PKCS #8.
    private: Option<Vec<u8>>,
}

impl RsaKey {
    /// Of a modulus, in bits.
    const LENGTHS: std::ops::RangeInclusive<usize> = 2048..=8192;

    /// A pair, if it is a valid one.
    pub(super) fn pair(pair: &KeyPair) -> Result<Self, KeyError> {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map_err(|_| KeyError::Invalid("RSA"))?;
        Ok(Self {
            private: Some(der.as_ref().to_vec()),
            ..Self::public(pair.public_key())?
        })
    }

    /// A public key.
    pub(super) fn public(key: &PublicKey) -> Result<Self, KeyError> {
        let PublicKeyComponents { n, e } = PublicKeyComponents::from(key);
        let zeros = n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !Self::LENGTHS.contains(&(n.len() * 8 - zeros)) {
            return Err(KeyError::Invalid("RSA"));
        }
        Ok(Self {
            modulus: n,
            exponent: e,
            private: None,
        })
    }

    /// A public key of these numbers, big-endian.
    pub(super) fn from_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(modulus), without_zeros(exponent));
        let components = PublicKeyComponents { n, e };
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&components)
            .map_err(|_| KeyError::Invalid("RSA"))?;
        let key = PublicKey::from_der(der.as_ref()).map_err(|_| KeyError::Invalid("RSA"))?;
        Self::public(&key)
    }

    /// PKCS #8; `None` for a public key.
    #[must_use]
    pub fn private(&self) -> Option<&[u8]> {
        self.private.as_deref()
    }

    /// PKIX.
    ///
    /// # Errors
    /// There are none for a key that exists.
    pub fn public_der(&self) -> Result<Vec<u8>, KeyError> {
        let components = PublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        };
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&components);
        let der = der.map_err(|_| KeyError::Invalid("RSA"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) fn jwk(&self) -> Map<String, Value> {
        let members = json!({
            "kty": "RSA",
            "n": encoded(&self.modulus),
            "e": encoded(&self.exponent),
        });
        members.as_object().cloned().unwrap_or_default()
    }
}

/// The same number.
pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}
