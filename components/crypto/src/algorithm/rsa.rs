//! RSA encryption (RFC 8017): PKCS #1 v1.5 and OAEP.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey,
    Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};

use super::{AlgorithmError, Cipher, Hash};
use crate::key::RsaKey;

pub(super) fn encrypt(
    cipher: Cipher,
    key: &RsaKey,
    plaintext: &[u8],
    label: &[u8],
) -> Result<Vec<u8>, AlgorithmError> {
    let mismatch = |_| AlgorithmError::KeyMismatch;
    let der = key.public_der().map_err(|_| AlgorithmError::KeyMismatch)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| AlgorithmError::KeyMismatch)?;
    let mut output = vec![0; key.key_size_bytes()];
    let written = match oaep(cipher) {
        Some(oaep) => {
            let key = OaepPublicEncryptingKey::new(key).map_err(mismatch)?;
            let encrypted = key.encrypt(oaep, plaintext, &mut output, some(label));
            encrypted.map(|written| written.len())
        }
        None => {
            let key = Pkcs1PublicEncryptingKey::new(key).map_err(mismatch)?;
            let encrypted = key.encrypt(plaintext, &mut output);
            encrypted.map(|written| written.len())
        }
    };
    output.truncate(written.map_err(|_| AlgorithmError::PlaintextLength)?);
    Ok(output)
}

pub(super) fn decrypt(
    cipher: Cipher,
    key: &RsaKey,
    ciphertext: &[u8],
    label: &[u8],
) -> Result<Vec<u8>, AlgorithmError> {
    let mismatch = |_| AlgorithmError::KeyMismatch;
    let private = key.private().ok_or(AlgorithmError::KeyMismatch)?;
    let key = PrivateDecryptingKey::from_pkcs8(private);
    let key = key.map_err(|_| AlgorithmError::KeyMismatch)?;
    let mut output = vec![0; key.key_size_bytes()];
    let written = match oaep(cipher) {
        Some(oaep) => {
            let key = OaepPrivateDecryptingKey::new(key).map_err(mismatch)?;
            let decrypted = key.decrypt(oaep, ciphertext, &mut output, some(label));
            decrypted.map(|written| written.len())
        }
        None => {
            let key = Pkcs1PrivateDecryptingKey::new(key).map_err(mismatch)?;
            let decrypted = key.decrypt(ciphertext, &mut output);
            decrypted.map(|written| written.len())
        }
    };
    output.truncate(written.map_err(|_| AlgorithmError::NotAuthentic)?);
    Ok(output)
}

/// `None` for PKCS #1 v1.5.
fn oaep(cipher: Cipher) -> Option<&'static OaepAlgorithm> {
    match cipher {
        Cipher::RsaOaep(Hash::Sha1) => Some(&OAEP_SHA1_MGF1SHA1),
        Cipher::RsaOaep(Hash::Sha256) => Some(&OAEP_SHA256_MGF1SHA256),
        Cipher::RsaOaep(Hash::Sha384) => Some(&OAEP_SHA384_MGF1SHA384),
        Cipher::RsaOaep(Hash::Sha512) => Some(&OAEP_SHA512_MGF1SHA512),
        _ => None,
    }
}

fn some(label: &[u8]) -> Option<&[u8]> {
    (!label.is_empty()).then_some(label)
}
