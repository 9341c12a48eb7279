//! From bytes to a key, whatever form they have.

use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use super::{Key, jwk, pem};

/// The longest PEM that is none: what it starts with and nothing more.
const SHORT: usize = 10;
/// Lengths of AES keys: a text of one of them that begins with a brace is a key, not JSON.
const AES_LENGTHS: [usize; 3] = [16, 24, 32];

/// Why bytes are no key. Texts show nothing of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There are no bytes.
    #[error("key is empty")]
    Empty,
    /// It should be JSON, and is none, or not that of a key.
    #[error("not a JSON Web Key: {0}")]
    Json(String),
    /// A member of a JSON Web Key is not there.
    #[error("the JSON Web Key has no {0:?}")]
    Missing(&'static str),
    /// A member of a JSON Web Key is not encoded as it has to be.
    #[error("{0:?} of the JSON Web Key is not base64url")]
    Member(&'static str),
    /// It should be PEM, and is none.
    #[error("not a PEM block")]
    Pem,
    /// A kind of key that cannot be used here.
    #[error("invalid key type: {0:?} is not supported")]
    Unsupported(String),
    /// The numbers are no key.
    #[error("not a valid {0} key")]
    Invalid(&'static str),
}

impl Key {
    /// Reads a key in the form that the media type names, or in the form that it looks like: a JSON Web Key, PEM, or
    /// the bytes of a key that both sides share, which may be in base64 of either alphabet.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(bytes: &[u8], content_type: &str) -> Result<Self, KeyError> {
        let first = bytes.first().ok_or(KeyError::Empty)?;
        match content_type {
            "application/json" => return jwk::parse(bytes),
            "application/x-pem-file" | "application/pkcs8" => return pem::parse(bytes),
            _ => {}
        }
        if *first == b'{' && !AES_LENGTHS.contains(&bytes.len()) {
            jwk::parse(bytes)
        } else if bytes.len() > SHORT && bytes.starts_with(b"-----") {
            pem::parse(bytes)
        } else {
            Self::symmetric(shared(bytes))
        }
    }

    /// Reads a JSON Web Key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_jwk(value: Value) -> Result<Self, KeyError> {
        jwk::from_value(value)
    }
}

/// The bytes that a text of base64 stands for, else the text itself. As upstream: bytes of a key that happen to be
/// base64 are decoded.
fn shared(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'='));
    let trimmed = &bytes[..end.map_or(0, |last| last + 1)];
    let lines = trimmed.iter().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let text: Vec<u8> = lines.copied().collect();
    let decoded = [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| base64(alphabet, &text));
    decoded.unwrap_or_else(|| bytes.to_vec())
}

/// As Go reads it: bits beyond the last byte may be anything.
fn base64(alphabet: &Alphabet, text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}
