//! `dapr.io/enc/v1`, the scheme that documents are encrypted with: a header that says how, then segments of 64 KiB.
//!
//! ```text
//! dapr.io/enc/v1
//! {"k":"key","kw":1,"wfk":"…","cph":1,"np":"…"}
//! base64 of the HMAC of both lines
//! segments: ciphertext and a tag of 16 bytes each
//! ```
//!
//! A random file key encrypts the document, and a key of the provider's encrypts the file key. Codecs are state machines
//! over bytes as they come: [`Draft`] → [`Segments`] to encrypt, [`HeaderReader`] → [`Header`] → [`Segments`] to decrypt.
//! Each holds one segment at most, and gives a segment only once it is authentic and in its place.
//!
//! What the format itself lacks: an empty document has no segment, so one that is cut off right after its header
//! decrypts to nothing, and says nothing. Whoever cuts anywhere else is noticed.

mod encrypt;
mod file_key;
mod header;
mod manifest;
mod segments;

pub use encrypt::{Draft, Options};
pub use header::{Header, HeaderReader};
pub use manifest::{DocumentCipher, WrapAlgorithm};
pub use segments::Segments;

/// The first line of every document.
const NAME: &str = "dapr.io/enc/v1";
/// Of every segment of plaintext but the last, in bytes. No header is longer.
pub const SEGMENT: usize = 64 << 10;
/// Of a segment's tag, in bytes.
pub const TAG: usize = 16;

/// Why a document cannot be encrypted or decrypted. Texts are upstream's, and say no more than a forger may know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// There is no such algorithm for file keys.
    #[error("option Algorithm is not valid: algorithm {0} is not supported")]
    Algorithm(String),
    /// There is no such cipher for documents.
    #[error("option Cipher is not valid: cipher {0} is not supported")]
    Cipher(String),
    /// The name of the key makes the header too long.
    #[error("failed to sign header: header is too long")]
    HeaderTooLong,
    /// What comes first is no header.
    #[error("invalid header: {0}")]
    Header(&'static str),
    /// Neither the document nor the request names a key.
    #[error("document's manifest does not contain a key name, and no key name was provided")]
    KeyMissing,
    /// The header's HMAC is not encoded as it has to be.
    #[error("failed to decode header's signature: illegal base64 data")]
    SignatureEncoding,
    /// The header was changed, or the key is not the one that it was written with.
    #[error("failed to validate the document's signature")]
    Signature,
    /// A segment was changed, moved or cut off.
    #[error("error processing segment {0}: failed to decrypt segment")]
    Segment(u32),
    /// There are more segments than nonces.
    #[error("input stream is too large")]
    TooLarge,
    /// The library refuses.
    #[error("the operation failed")]
    Failed,
}

#[cfg(test)]
mod tests;
