//! AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce,
    UnboundKey,
};
use trilby_components::crypto::Sealed;

use super::{Aes, AlgorithmError};

/// ChaCha20-Poly1305.
pub(super) const CHACHA: &Algorithm = &CHACHA20_POLY1305;

pub(super) fn of(aes: Aes) -> &'static Algorithm {
    match aes {
        Aes::Bits128 => &AES_128_GCM,
        Aes::Bits192 => &AES_192_GCM,
        Aes::Bits256 => &AES_256_GCM,
    }
}

pub(super) fn seal(
    algorithm: &'static Algorithm,
    key: &[u8],
    (nonce, data): (&[u8], &[u8]),
    plaintext: &[u8],
) -> Result<Sealed, AlgorithmError> {
    let (key, nonce) = bound(algorithm, key, nonce)?;
    let mut ciphertext = plaintext.to_vec();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(data), &mut ciphertext);
    Ok(Sealed {
        ciphertext,
        tag: tag.map_err(|_| AlgorithmError::Failed)?.as_ref().to_vec(),
    })
}

pub(super) fn open(
    algorithm: &'static Algorithm,
    key: &[u8],
    (nonce, data): (&[u8], &[u8]),
    sealed: &Sealed,
) -> Result<Vec<u8>, AlgorithmError> {
    let (key, nonce) = bound(algorithm, key, nonce)?;
    if sealed.tag.len() != algorithm.tag_len() {
        return Err(AlgorithmError::Tag);
    }
    let mut text = [sealed.ciphertext.as_slice(), &sealed.tag].concat();
    let opened = key.open_in_place(nonce, Aad::from(data), &mut text);
    let length = opened.map_err(|_| AlgorithmError::NotAuthentic)?.len();
    text.truncate(length);
    Ok(text)
}

fn bound(
    algorithm: &'static Algorithm,
    key: &[u8],
    nonce: &[u8],
) -> Result<(LessSafeKey, Nonce), AlgorithmError> {
    let key = UnboundKey::new(algorithm, key).map_err(|_| AlgorithmError::KeyMismatch)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| AlgorithmError::Nonce)?;
    Ok((LessSafeKey::new(key), nonce))
}
