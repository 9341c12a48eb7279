//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), which aws-lc has not.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use trilby_components::crypto::Sealed;

use super::AlgorithmError;

/// Of a tag, in bytes.
const TAG: usize = 16;

pub(super) fn seal(
    key: &[u8],
    (nonce, data): (&[u8], &[u8]),
    plaintext: &[u8],
) -> Result<Sealed, AlgorithmError> {
    let (cipher, nonce) = bound(key, nonce)?;
    let message = Payload {
        msg: plaintext,
        aad: data,
    };
    let sealed = cipher.encrypt(&nonce, message);
    let mut ciphertext = sealed.map_err(|_| AlgorithmError::Failed)?;
    let tag = ciphertext.split_off(plaintext.len());
    Ok(Sealed { ciphertext, tag })
}

pub(super) fn open(
    key: &[u8],
    (nonce, data): (&[u8], &[u8]),
    sealed: &Sealed,
) -> Result<Vec<u8>, AlgorithmError> {
    let (cipher, nonce) = bound(key, nonce)?;
    if sealed.tag.len() != TAG {
        return Err(AlgorithmError::Tag);
    }
    let text = [sealed.ciphertext.as_slice(), &sealed.tag].concat();
    let message = Payload {
        msg: &text,
        aad: data,
    };
    let opened = cipher.decrypt(&nonce, message);
    opened.map_err(|_| AlgorithmError::NotAuthentic)
}

fn bound(key: &[u8], nonce: &[u8]) -> Result<(XChaCha20Poly1305, XNonce), AlgorithmError> {
    let cipher = XChaCha20Poly1305::new_from_slice(key);
    let cipher = cipher.map_err(|_| AlgorithmError::KeyMismatch)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| AlgorithmError::Nonce)?;
    Ok((cipher, nonce))
}
