//! The key of one document, and the two that are derived from it.

use aws_lc_rs::{
    aead::{AES_256_GCM, CHACHA20_POLY1305, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac, rand,
};

use super::{
    DocumentCipher, NAME, SchemeError,
    manifest::{Manifest, NONCE_PREFIX},
};

/// Of a file key and of what is derived from it, in bytes.
pub(super) const LENGTH: usize = 32;

/// The key of one document.
pub(super) struct FileKey([u8; LENGTH]);

/// How long a derived key is.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        LENGTH
    }
}

impl FileKey {
    pub(super) fn random() -> Result<Self, SchemeError> {
        random().map(Self)
    }

    /// `None` if that is no file key.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of the first two lines of a document.
    pub(super) fn sign(&self, manifest: &[u8]) -> Result<hmac::Tag, SchemeError> {
        let mut mac = hmac::Context::with_key(&self.header_key()?);
        for part in signed(manifest) {
            mac.update(part);
        }
        Ok(mac.sign())
    }

    /// Whether the first two lines of a document are as they were written.
    pub(super) fn verify(&self, manifest: &[u8], mac: &[u8]) -> Result<(), SchemeError> {
        let message = signed(manifest).concat();
        let verified = hmac::verify(&self.header_key()?, &message, mac);
        verified.map_err(|_| SchemeError::Signature)
    }

    /// What encrypts the segments.
    pub(super) fn payload_key(&self, manifest: &Manifest) -> Result<LessSafeKey, SchemeError> {
        let algorithm = match manifest.cipher {
            DocumentCipher::AesGcm => &AES_256_GCM,
            DocumentCipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = self.derive(&manifest.nonce_prefix, b"payload")?;
        let key = UnboundKey::new(algorithm, &key).map_err(|_| SchemeError::Failed)?;
        Ok(LessSafeKey::new(key))
    }

    fn header_key(&self) -> Result<hmac::Key, SchemeError> {
        let key = self.derive(&[], b"header")?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    fn derive(&self, salt: &[u8], info: &[u8]) -> Result<[u8; LENGTH], SchemeError> {
        let mut key = [0; LENGTH];
        let prk = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let filled = prk
            .expand(&[info], Derived)
            .and_then(|okm| okm.fill(&mut key));
        filled.map_err(|_| SchemeError::Failed)?;
        Ok(key)
    }
}

/// What the HMAC is of.
fn signed(manifest: &[u8]) -> [&[u8]; 4] {
    [NAME.as_bytes(), b"\n", manifest, b"\n"]
}

pub(super) fn nonce_prefix() -> Result<[u8; NONCE_PREFIX], SchemeError> {
    random()
}

fn random<const N: usize>() -> Result<[u8; N], SchemeError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SchemeError::Failed)?;
    Ok(bytes)
}
