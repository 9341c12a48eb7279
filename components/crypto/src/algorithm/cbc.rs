//! AES-CBC with PKCS #7 padding (NIST SP 800-38A), alone and with an HMAC around it (RFC 7518, 5.2).

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    constant_time::verify_slices_are_equal,
    hmac,
    iv::FixedLength,
};
use trilby_components::crypto::Sealed;

use super::{Aes, AlgorithmError};

/// Of a block, in bytes.
const BLOCK: usize = 16;

pub(super) fn encrypt(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let iv = FixedLength::try_from(iv).map_err(|_| AlgorithmError::Nonce)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(unbound(key)?);
    let key = key.map_err(|_| AlgorithmError::KeyMismatch)?;
    let mut text = plaintext.to_vec();
    let encrypted = key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(iv));
    encrypted.map_err(|_| AlgorithmError::Failed)?;
    Ok(text)
}

/// Nothing authenticates the ciphertext: whoever may ask at will, and is told of wrong padding, can decrypt it.
pub(super) fn decrypt(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let iv = FixedLength::try_from(iv).map_err(|_| AlgorithmError::Nonce)?;
    if !ciphertext.len().is_multiple_of(BLOCK) {
        return Err(AlgorithmError::CiphertextLength);
    }
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(unbound(key)?);
    let key = key.map_err(|_| AlgorithmError::KeyMismatch)?;
    if ciphertext.is_empty() {
        return Ok(Vec::new());
    }
    let mut text = ciphertext.to_vec();
    let decrypted = key.decrypt(&mut text, DecryptionContext::Iv128(iv));
    let length = decrypted.map_err(|_| AlgorithmError::NotAuthentic)?.len();
    text.truncate(length);
    Ok(text)
}

fn unbound(key: &[u8]) -> Result<UnboundCipherKey, AlgorithmError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| AlgorithmError::KeyMismatch)
}

/// AES-CBC, then the HMAC of what came out.
pub(super) fn seal(
    aes: Aes,
    key: &[u8],
    (iv, data): (&[u8], &[u8]),
    plaintext: &[u8],
) -> Result<Sealed, AlgorithmError> {
    let (mac_key, key) = halves(aes, key)?;
    let ciphertext = encrypt(key, iv, plaintext)?;
    let tag = tag(aes, mac_key, (iv, data), &ciphertext);
    Ok(Sealed { ciphertext, tag })
}

pub(super) fn open(
    aes: Aes,
    key: &[u8],
    (iv, data): (&[u8], &[u8]),
    sealed: &Sealed,
) -> Result<Vec<u8>, AlgorithmError> {
    let (mac_key, key) = halves(aes, key)?;
    if iv.len() != BLOCK {
        return Err(AlgorithmError::Nonce);
    }
    if sealed.tag.len() != aes.length() {
        return Err(AlgorithmError::Tag);
    }
    let expected = tag(aes, mac_key, (iv, data), &sealed.ciphertext);
    verify_slices_are_equal(&expected, &sealed.tag).map_err(|_| AlgorithmError::NotAuthentic)?;
    decrypt(key, iv, &sealed.ciphertext)
}

/// The key of the HMAC, then that of AES.
fn halves(aes: Aes, key: &[u8]) -> Result<(&[u8], &[u8]), AlgorithmError> {
    match key.split_at_checked(aes.length()) {
        Some(halves) if halves.1.len() == aes.length() => Ok(halves),
        _ => Err(AlgorithmError::KeyMismatch),
    }
}

/// The first half of the HMAC of everything, and of how many bits of it are associated data.
fn tag(aes: Aes, key: &[u8], (iv, data): (&[u8], &[u8]), ciphertext: &[u8]) -> Vec<u8> {
    let algorithm = match aes {
        Aes::Bits128 => hmac::HMAC_SHA256,
        Aes::Bits192 => hmac::HMAC_SHA384,
        Aes::Bits256 => hmac::HMAC_SHA512,
    };
    let mut mac = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    for part in [data, iv, ciphertext] {
        mac.update(part);
    }
    mac.update(&(data.len() as u64 * 8).to_be_bytes());
    mac.sign().as_ref()[..aes.length()].to_vec()
}
