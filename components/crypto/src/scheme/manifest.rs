//! The second line of a document: how it was encrypted.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::SchemeError;

/// Random bytes that every segment's nonce starts with.
pub(super) const NONCE_PREFIX: usize = 7;

/// How the file key is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapAlgorithm {
    /// AES key wrap, also called `AES`.
    A256Kw,
    /// AES-CBC without padding; no provider that works in the sidecar serves it, as upstream.
    A128CbcNoPad,
    /// The same with 192 bits.
    A192CbcNoPad,
    /// The same with 256 bits.
    A256CbcNoPad,
    /// Also called `RSA`.
    RsaOaep256,
}

/// What encrypts segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentCipher {
    /// AES-256-GCM.
    AesGcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

/// By number and name.
const ALGORITHMS: [(u64, &str, WrapAlgorithm); 5] = [
    (1, "A256KW", WrapAlgorithm::A256Kw),
    (2, "A128CBC-NOPAD", WrapAlgorithm::A128CbcNoPad),
    (3, "A192CBC-NOPAD", WrapAlgorithm::A192CbcNoPad),
    (4, "A256CBC-NOPAD", WrapAlgorithm::A256CbcNoPad),
    (5, "RSA-OAEP-256", WrapAlgorithm::RsaOaep256),
];
const CIPHERS: [(u64, &str, DocumentCipher); 2] = [
    (1, "AES-GCM", DocumentCipher::AesGcm),
    (2, "CHACHA20-POLY1305", DocumentCipher::ChaCha20Poly1305),
];

impl WrapAlgorithm {
    /// By its name or alias, in any case.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn parse(name: &str) -> Result<Self, SchemeError> {
        let upper = name.to_uppercase();
        let name = match upper.as_str() {
            "AES" => "A256KW",
            "RSA" => "RSA-OAEP-256",
            other => other,
        };
        let found = ALGORITHMS.iter().find(|(_, known, _)| *known == name);
        found.map_or(Err(SchemeError::Algorithm(upper.clone())), |row| Ok(row.2))
    }

    /// As providers name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = ALGORITHMS.iter().find(|(_, _, one)| *one == self);
        found.map_or("", |row| row.1)
    }

    fn number(self) -> u64 {
        let found = ALGORITHMS.iter().find(|(_, _, one)| *one == self);
        found.map_or(0, |row| row.0)
    }
}

impl DocumentCipher {
    /// By its name, in any case; none is the default.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn parse(name: &str) -> Result<Self, SchemeError> {
        let upper = name.to_uppercase();
        if upper.is_empty() {
            return Ok(Self::AesGcm);
        }
        let found = CIPHERS.iter().find(|(_, known, _)| *known == upper);
        found.map_or(Err(SchemeError::Cipher(upper.clone())), |row| Ok(row.2))
    }

    fn number(self) -> u64 {
        let found = CIPHERS.iter().find(|(_, _, one)| *one == self);
        found.map_or(0, |row| row.0)
    }
}

/// How a document was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Empty when the document does not say.
    pub(super) key_name: String,
    pub(super) algorithm: WrapAlgorithm,
    pub(super) wrapped_key: Vec<u8>,
    pub(super) cipher: DocumentCipher,
    pub(super) nonce_prefix: [u8; NONCE_PREFIX],
}

/// The order of its fields is the document's.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    k: String,
    kw: u64,
    wfk: String,
    cph: u64,
    np: String,
}

impl Manifest {
    /// The line, without its end.
    pub(super) fn line(&self) -> Result<Vec<u8>, SchemeError> {
        let written = Written {
            k: self.key_name.clone(),
            kw: self.algorithm.number(),
            wfk: BASE64_STANDARD.encode(&self.wrapped_key),
            cph: self.cipher.number(),
            np: BASE64_STANDARD.encode(self.nonce_prefix),
        };
        serde_json::to_vec(&written).map_err(|_| SchemeError::Failed)
    }

    /// From the line; `None` if it is none. Why not is nobody's business.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(line).ok()?;
        let wrapped_key = BASE64_STANDARD.decode(&written.wfk).ok()?;
        let prefix = BASE64_STANDARD.decode(&written.np).ok()?;
        let algorithm = ALGORITHMS.iter().find(|row| row.0 == written.kw)?;
        let cipher = CIPHERS.iter().find(|row| row.0 == written.cph)?;
        (!wrapped_key.is_empty()).then_some(Self {
            key_name: written.k,
            algorithm: algorithm.2,
            wrapped_key,
            cipher: cipher.2,
            nonce_prefix: prefix.try_into().ok()?,
        })
    }
}
