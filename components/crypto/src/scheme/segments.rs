//! The body of a document, a segment at a time.

use std::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use bytes::{Bytes, BytesMut};

use super::{
    SEGMENT, SchemeError, TAG,
    file_key::FileKey,
    manifest::{Manifest, NONCE_PREFIX},
};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Encrypt,
    Decrypt,
}

/// Encrypts or decrypts a body as it comes. Holds one segment.
pub struct Segments {
    key: LessSafeKey,
    prefix: [u8; NONCE_PREFIX],
    direction: Direction,
    /// Of the segment that comes next.
    index: u32,
    held: BytesMut,
}

impl Segments {
    pub(super) fn new(
        key: &FileKey,
        manifest: &Manifest,
        direction: Direction,
    ) -> Result<Self, SchemeError> {
        Ok(Self {
            key: key.payload_key(manifest)?,
            prefix: manifest.nonce_prefix,
            direction,
            index: 0,
            held: BytesMut::new(),
        })
    }

    /// Takes bytes, up to a whole segment, and gives the segment that is complete by that. Call it until `data` is
    /// empty.
    ///
    /// # Errors
    /// A segment is not authentic: nothing of it comes out, and nothing may after it.
    pub fn push(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, SchemeError> {
        let room = self.size() - self.held.len();
        let taken = data.split_to(room.min(data.len()));
        self.held.extend_from_slice(&taken);
        // Whether a segment is the last goes into its nonce: something has to follow first.
        if data.is_empty() {
            return Ok(None);
        }
        let next = self.index.checked_add(1).ok_or(SchemeError::TooLarge)?;
        let segment = self.process(false)?;
        self.index = next;
        Ok(Some(segment))
    }

    /// The last segment; `None` for an empty document.
    ///
    /// # Errors
    /// It is not authentic, or it is not the last one.
    pub fn finish(mut self) -> Result<Option<Bytes>, SchemeError> {
        match self.held.is_empty() {
            true => Ok(None),
            false => self.process(true).map(Some),
        }
    }

    /// Of a full segment that comes in, in bytes.
    fn size(&self) -> usize {
        match self.direction {
            Direction::Encrypt => SEGMENT,
            Direction::Decrypt => SEGMENT + TAG,
        }
    }

    fn process(&mut self, last: bool) -> Result<Bytes, SchemeError> {
        let nonce = self.nonce(last);
        let mut segment = std::mem::take(&mut self.held);
        match self.direction {
            Direction::Encrypt => {
                let sealed = self
                    .key
                    .seal_in_place_append_tag(nonce, Aad::empty(), &mut segment);
                sealed.map_err(|_| SchemeError::Failed)?;
            }
            Direction::Decrypt => {
                let opened = self.key.open_in_place(nonce, Aad::empty(), &mut segment);
                let opened = opened.map_err(|_| SchemeError::Segment(self.index))?;
                let length = opened.len();
                segment.truncate(length);
            }
        }
        Ok(segment.freeze())
    }

    fn nonce(&self, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (prefix, rest) = nonce.split_at_mut(NONCE_PREFIX);
        prefix.copy_from_slice(&self.prefix);
        let (index, flag) = rest.split_at_mut(size_of::<u32>());
        index.copy_from_slice(&self.index.to_be_bytes());
        flag.fill(u8::from(last));
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segments({:?}, at {})", self.direction, self.index)
    }
}
