//! Algorithms over keys, named as JSON Web Algorithms and upstream name them.
//!
//! Everything is aws-lc's but two: AES key wrap with 192 bits, and XChaCha20-Poly1305.

mod cbc;
mod chacha;
mod gcm;
mod key_wrap;
mod rsa;
mod signature;

use trilby_components::crypto::{CryptoError, Parameters, Sealed};

use crate::key::{Key, Material};

pub use signature::{sign, verify};

/// Length of an AES key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aes {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

/// A hash of the SHA family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, for RSA-OAEP only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// An algorithm that encrypts messages or keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `A*CBC`: AES-CBC with PKCS #7 padding. Nothing authenticates it.
    Cbc(Aes),
    /// `A*GCM`.
    Gcm(Aes),
    /// `A*CBC-HS*` (RFC 7518, 5.2): the key is twice as long as its name says.
    CbcHmac(Aes),
    /// `A*KW` (RFC 3394).
    KeyWrap(Aes),
    /// `C20P`, and `C20PKW`, which is the same.
    ChaCha,
    /// `XC20P`, and `XC20PKW`, which is the same.
    XChaCha,
    /// `RSA1_5`.
    RsaPkcs1,
    /// `RSA-OAEP*`.
    RsaOaep(Hash),
}

/// Names that a cipher goes by. `A*CBC-NOPAD` is none: upstream lists it, and answers that it is not supported.
const CIPHERS: &[(&str, Cipher)] = &[
    ("A128CBC", Cipher::Cbc(Aes::Bits128)),
    ("A192CBC", Cipher::Cbc(Aes::Bits192)),
    ("A256CBC", Cipher::Cbc(Aes::Bits256)),
    ("A128GCM", Cipher::Gcm(Aes::Bits128)),
    ("A192GCM", Cipher::Gcm(Aes::Bits192)),
    ("A256GCM", Cipher::Gcm(Aes::Bits256)),
    ("A128CBC-HS256", Cipher::CbcHmac(Aes::Bits128)),
    ("A192CBC-HS384", Cipher::CbcHmac(Aes::Bits192)),
    ("A256CBC-HS512", Cipher::CbcHmac(Aes::Bits256)),
    ("A128KW", Cipher::KeyWrap(Aes::Bits128)),
    ("A192KW", Cipher::KeyWrap(Aes::Bits192)),
    ("A256KW", Cipher::KeyWrap(Aes::Bits256)),
    ("C20P", Cipher::ChaCha),
    ("C20PKW", Cipher::ChaCha),
    ("XC20P", Cipher::XChaCha),
    ("XC20PKW", Cipher::XChaCha),
    ("RSA1_5", Cipher::RsaPkcs1),
    ("RSA-OAEP", Cipher::RsaOaep(Hash::Sha1)),
    ("RSA-OAEP-256", Cipher::RsaOaep(Hash::Sha256)),
    ("RSA-OAEP-384", Cipher::RsaOaep(Hash::Sha384)),
    ("RSA-OAEP-512", Cipher::RsaOaep(Hash::Sha512)),
];

/// Why an algorithm did not run. Texts are upstream's, and show nothing of what went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// There is no such algorithm, or none that does this.
    #[error("unsupported algorithm")]
    Unsupported,
    /// The key is of another kind or length.
    #[error("key type mismatch")]
    KeyMismatch,
    /// The nonce does not have the algorithm's length.
    #[error("invalid nonce")]
    Nonce,
    /// The tag does not have the algorithm's length.
    #[error("invalid tag")]
    Tag,
    /// The message is too long, or no multiple of what it has to be.
    #[error("invalid plaintext length")]
    PlaintextLength,
    /// The ciphertext is no multiple of what it has to be.
    #[error("invalid ciphertext length")]
    CiphertextLength,
    /// The digest is not one of the algorithm's hash.
    #[error("invalid digest length")]
    DigestLength,
    /// It is not what was encrypted, or not with this key.
    #[error("message authentication failed")]
    NotAuthentic,
    /// The library refuses.
    #[error("the operation failed")]
    Failed,
}

impl From<AlgorithmError> for CryptoError {
    fn from(error: AlgorithmError) -> Self {
        Self::InvalidRequest(error.to_string())
    }
}

impl Aes {
    /// Of a key, in bytes.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }
}

impl Cipher {
    /// The cipher of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let mut found = CIPHERS.iter().filter(|(known, _)| *known == name);
        found.next().map(|(_, cipher)| *cipher)
    }
}

/// Encrypts a message.
///
/// # Errors
/// See [`AlgorithmError`].
pub fn encrypt(
    key: &Key,
    with: Parameters<'_>,
    plaintext: &[u8],
) -> Result<Sealed, AlgorithmError> {
    let cipher = Cipher::find(with.algorithm).ok_or(AlgorithmError::Unsupported)?;
    let (nonce, data) = (with.nonce, with.associated_data);
    if matches!(cipher, Cipher::RsaPkcs1 | Cipher::RsaOaep(_)) {
        let Material::Rsa(key) = &key.material else {
            return Err(AlgorithmError::KeyMismatch);
        };
        return without_tag(rsa::encrypt(cipher, key, plaintext, data));
    }
    let key = shared(key)?;
    match cipher {
        Cipher::Cbc(aes) => without_tag(cbc::encrypt(sized(key, aes)?, nonce, plaintext)),
        Cipher::Gcm(aes) => gcm::seal(gcm::of(aes), sized(key, aes)?, (nonce, data), plaintext),
        Cipher::CbcHmac(aes) => cbc::seal(aes, key, (nonce, data), plaintext),
        Cipher::KeyWrap(aes) => without_tag(key_wrap::wrap(aes, sized(key, aes)?, plaintext)),
        Cipher::ChaCha => gcm::seal(gcm::CHACHA, key, (nonce, data), plaintext),
        Cipher::XChaCha => chacha::seal(key, (nonce, data), plaintext),
        Cipher::RsaPkcs1 | Cipher::RsaOaep(_) => Err(AlgorithmError::Unsupported),
    }
}

/// Decrypts what [`encrypt`] gave.
///
/// # Errors
/// See [`AlgorithmError`].
pub fn decrypt(
    key: &Key,
    with: Parameters<'_>,
    sealed: &Sealed,
) -> Result<Vec<u8>, AlgorithmError> {
    let cipher = Cipher::find(with.algorithm).ok_or(AlgorithmError::Unsupported)?;
    let (nonce, data) = (with.nonce, with.associated_data);
    if matches!(cipher, Cipher::RsaPkcs1 | Cipher::RsaOaep(_)) {
        let Material::Rsa(key) = &key.material else {
            return Err(AlgorithmError::KeyMismatch);
        };
        return rsa::decrypt(cipher, key, &sealed.ciphertext, data);
    }
    let key = shared(key)?;
    match cipher {
        Cipher::Cbc(aes) => cbc::decrypt(sized(key, aes)?, nonce, &sealed.ciphertext),
        Cipher::Gcm(aes) => gcm::open(gcm::of(aes), sized(key, aes)?, (nonce, data), sealed),
        Cipher::CbcHmac(aes) => cbc::open(aes, key, (nonce, data), sealed),
        Cipher::KeyWrap(aes) => key_wrap::unwrap(aes, sized(key, aes)?, &sealed.ciphertext),
        Cipher::ChaCha => gcm::open(gcm::CHACHA, key, (nonce, data), sealed),
        Cipher::XChaCha => chacha::open(key, (nonce, data), sealed),
        Cipher::RsaPkcs1 | Cipher::RsaOaep(_) => Err(AlgorithmError::Unsupported),
    }
}

fn shared(key: &Key) -> Result<&[u8], AlgorithmError> {
    match &key.material {
        Material::Symmetric(bytes) => Ok(bytes),
        _ => Err(AlgorithmError::KeyMismatch),
    }
}

fn sized(key: &[u8], aes: Aes) -> Result<&[u8], AlgorithmError> {
    match key.len() == aes.length() {
        true => Ok(key),
        false => Err(AlgorithmError::KeyMismatch),
    }
}

fn without_tag(result: Result<Vec<u8>, AlgorithmError>) -> Result<Sealed, AlgorithmError> {
    let ciphertext = result?;
    Ok(Sealed {
        ciphertext,
        tag: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
