//! The beginning of a document that is decrypted.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};

use super::{
    NAME, SEGMENT, SchemeError, Segments, file_key::FileKey, manifest::Manifest,
    segments::Direction,
};

/// Lines of a header.
const LINES: usize = 3;

/// Collects a header. Holds no more than one.
#[derive(Debug, Default)]
pub struct HeaderReader {
    /// The lines that are whole, without their ends.
    lines: Vec<Bytes>,
    line: BytesMut,
    /// Of all lines so far, in bytes.
    length: usize,
}

impl HeaderReader {
    /// Takes bytes, up to the end of the header, and gives the header once it is whole. The rest is the body's.
    ///
    /// # Errors
    /// It is no header.
    pub fn push(&mut self, data: &mut Bytes) -> Result<Option<Header>, SchemeError> {
        while !data.is_empty() {
            let end = data.iter().position(|byte| *byte == b'\n');
            let taken = data.split_to(end.map_or(data.len(), |end| end + 1));
            self.length += taken.len();
            if self.length > SEGMENT {
                return Err(self.ended());
            }
            self.line.extend_from_slice(&taken);
            if end.is_some() && self.end_of_line()? {
                return self.header().map(Some);
            }
        }
        Ok(None)
    }

    /// Why there is no header, when nothing more comes.
    #[must_use]
    pub fn ended(&self) -> SchemeError {
        SchemeError::Header(match self.lines.len() {
            0 => "scheme name not found",
            1 => "manifest not found",
            _ => "message authentication code not found",
        })
    }

    /// Whether it was the last one.
    fn end_of_line(&mut self) -> Result<bool, SchemeError> {
        let mut line = self.line.split().freeze();
        line.truncate(line.len() - 1);
        if line.is_empty() {
            return Err(SchemeError::Header("invalid format"));
        }
        if self.lines.is_empty() && line != NAME.as_bytes() {
            return Err(SchemeError::Header("unsupported scheme"));
        }
        self.lines.push(line);
        Ok(self.lines.len() == LINES)
    }

    fn header(&self) -> Result<Header, SchemeError> {
        let [_, line, mac] = self.lines.as_slice() else {
            return Err(self.ended());
        };
        let manifest = Manifest::parse(line).ok_or(SchemeError::Header("invalid manifest"))?;
        Ok(Header {
            manifest,
            line: line.clone(),
            mac: mac.clone(),
        })
    }
}

/// A header that was read, not verified.
pub struct Header {
    manifest: Manifest,
    line: Bytes,
    mac: Bytes,
}

impl Header {
    /// The key that the file key is encrypted with: what was asked for, else what the document says.
    ///
    /// # Errors
    /// Neither names one.
    pub fn key_name<'a>(&'a self, asked: &'a str) -> Result<&'a str, SchemeError> {
        let names = [asked, &self.manifest.key_name];
        let found = names.into_iter().find(|name| !name.is_empty());
        found.ok_or(SchemeError::KeyMissing)
    }

    /// How the file key is encrypted, as providers name it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.manifest.algorithm.name()
    }

    /// What has to be decrypted.
    #[must_use]
    pub fn wrapped_key(&self) -> &[u8] {
        &self.manifest.wrapped_key
    }

    /// What decrypts the rest. Without a file key (the key is not there, or not the right one) it answers as it does to
    /// a header that was changed, so that nobody learns which keys there are.
    ///
    /// # Errors
    /// The header is not authentic.
    pub fn unlock(&self, file_key: Option<&[u8]>) -> Result<Segments, SchemeError> {
        let found = file_key.and_then(FileKey::from_bytes);
        // A key that anyone knows, such as zeros, would let anyone sign a header for it.
        let key = match found {
            Some(key) => key,
            None => FileKey::random()?,
        };
        let mac = BASE64_STANDARD.decode(&self.mac);
        let mac = mac.map_err(|_| SchemeError::SignatureEncoding)?;
        key.verify(&self.line, &mac)?;
        Segments::new(&key, &self.manifest, Direction::Decrypt)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({})", self.algorithm())
    }
}
