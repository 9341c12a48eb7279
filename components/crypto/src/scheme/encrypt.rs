//! The beginning of a document that is encrypted.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{
    DocumentCipher, NAME, SEGMENT, SchemeError, Segments, WrapAlgorithm,
    file_key::{FileKey, nonce_prefix},
    manifest::Manifest,
    segments::Direction,
};

/// How a document is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The key name that the document carries; empty for none: then whoever decrypts it has to name the key.
    pub key_name: String,
    /// How the file key is encrypted.
    pub algorithm: WrapAlgorithm,
    /// What encrypts the document.
    pub cipher: DocumentCipher,
}

/// A document whose file key is not encrypted yet.
pub struct Draft {
    key: FileKey,
    options: Options,
}

impl Draft {
    /// Makes a file key.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn new(options: Options) -> Result<Self, SchemeError> {
        let key = FileKey::random()?;
        Ok(Self { key, options })
    }

    /// What has to be encrypted.
    #[must_use]
    pub fn file_key(&self) -> &[u8] {
        self.key.bytes()
    }

    /// The header, and what encrypts the rest.
    ///
    /// # Errors
    /// The header is too long.
    pub fn begin(self, wrapped_key: Vec<u8>) -> Result<(Bytes, Segments), SchemeError> {
        let Self { key, options } = self;
        let manifest = Manifest {
            key_name: options.key_name,
            algorithm: options.algorithm,
            wrapped_key,
            cipher: options.cipher,
            nonce_prefix: nonce_prefix()?,
        };
        let line = manifest.line()?;
        let mac = BASE64_STANDARD.encode(key.sign(&line)?);
        let header = [NAME.as_bytes(), b"\n", &line, b"\n", mac.as_bytes(), b"\n"].concat();
        if header.len() > SEGMENT {
            return Err(SchemeError::HeaderTooLong);
        }
        let segments = Segments::new(&key, &manifest, Direction::Encrypt)?;
        Ok((header.into(), segments))
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({:?})", self.options)
    }
}
