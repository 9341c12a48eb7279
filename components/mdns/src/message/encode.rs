//! From a message to bytes.

use super::{Data, IN, Message, Question, Record, TOP};

/// The flags of an answer: it is one, and its sender has authority.
const ANSWER: u16 = 0x8400;
/// The longest label, in bytes.
const LONGEST_LABEL: usize = 63;
/// The longest name, in bytes on the wire.
const LONGEST_NAME: usize = 255;
/// The longest text of a TXT record, in bytes.
const LONGEST_TEXT: usize = 255;

/// A name or text that DNS has no room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not fit into a DNS message: {1}")]
pub(crate) struct TooLong(String, &'static str);

impl Message {
    /// The bytes to send.
    ///
    /// # Errors
    /// A name is too long for DNS.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::with_capacity(512);
        put(&mut out, self.id);
        put(&mut out, if self.response { ANSWER } else { 0 });
        for count in [
            self.questions.len(),
            self.answers.len(),
            0,
            self.additional.len(),
        ] {
            put(&mut out, u16::try_from(count).unwrap_or(u16::MAX));
        }
        for question in &self.questions {
            question.encode(&mut out)?;
        }
        for record in self.records() {
            record.encode(&mut out)?;
        }
        Ok(out)
    }
}

fn put(out: &mut Vec<u8>, number: u16) {
    out.extend(number.to_be_bytes());
}

impl Question {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        name(out, &self.name)?;
        put(out, self.kind);
        put(out, if self.unicast { IN | TOP } else { IN });
        Ok(())
    }
}

impl Record {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        name(out, &self.name)?;
        put(out, self.data.kind());
        put(out, if self.flush { IN | TOP } else { IN });
        out.extend(self.ttl.to_be_bytes());
        let mut data = Vec::new();
        self.data.encode(&mut data)?;
        let length = u16::try_from(data.len());
        put(
            out,
            length.map_err(|_| TooLong(self.name.clone(), "too much data"))?,
        );
        out.extend(data);
        Ok(())
    }
}

impl Data {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Ptr(target) => name(out, target)?,
            Self::Srv { port, target } => {
                put(out, 0);
                put(out, 0);
                put(out, *port);
                name(out, target)?;
            }
            Self::Txt(texts) => {
                for text in texts {
                    if text.len() > LONGEST_TEXT {
                        return Err(TooLong(text.clone(), "a text has at most 255 bytes"));
                    }
                    sized(out, text.as_bytes());
                }
            }
            Self::A(address) => out.extend(address.octets()),
            Self::Aaaa(address) => out.extend(address.octets()),
        }
        Ok(())
    }
}

/// Writes a name of whole labels.
fn name(out: &mut Vec<u8>, text: &str) -> Result<(), TooLong> {
    let before = out.len();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        if label.len() > LONGEST_LABEL {
            return Err(TooLong(text.to_owned(), "a label has at most 63 bytes"));
        }
        sized(out, label.as_bytes());
    }
    out.push(0);
    if out.len() - before > LONGEST_NAME {
        return Err(TooLong(text.to_owned(), "a name has at most 255 bytes"));
    }
    Ok(())
}

/// Writes what was checked to have at most 255 bytes.
fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend(bytes);
}
