//! From bytes of anybody on the link to a message. Nothing here allocates more than the bytes warrant.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Data, IN, Message, Question, Record, TOP, kind};

/// The longest name, in bytes of text. Every jump of a name goes back, so it ends.
const LONGEST_NAME: usize = 255;

/// The flag of an answer.
const RESPONSE: u16 = 0x8000;
/// Kind of message: only plain questions and answers are understood.
const OPCODE: u16 = 0x7800;

/// Bytes that are no DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DNS message")]
pub(crate) struct Malformed;

impl Message {
    /// Reads a message; records of other kinds than [`Data`] has, or of another class, are left out.
    ///
    /// # Errors
    /// It is cut short or contradicts itself.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.number()?;
        let flags = reader.number()?;
        if flags & OPCODE != 0 {
            return Err(Malformed);
        }
        let questions = reader.number()?;
        let answers = reader.number()?;
        let authorities = reader.number()?;
        let additional = reader.number()?;
        let questions = (0..questions).map(|_| reader.question());
        let questions = questions.collect::<Result<_, _>>()?;
        let answers = reader.records(answers)?;
        reader.records(authorities)?;
        Ok(Self {
            id,
            response: flags & RESPONSE != 0,
            questions,
            answers,
            probe: authorities != 0,
            additional: reader.records(additional)?,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn question(&mut self) -> Result<Question, Malformed> {
        let name = self.name()?;
        let kind = self.number()?;
        let class = self.number()?;
        Ok(Question {
            name,
            kind,
            unicast: class & TOP != 0,
        })
    }

    fn records(&mut self, count: u16) -> Result<Vec<Record>, Malformed> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.extend(self.record()?);
        }
        Ok(records)
    }

    fn record(&mut self) -> Result<Option<Record>, Malformed> {
        let name = self.name()?;
        let kind = self.number()?;
        let class = self.number()?;
        let ttl = self.array().map(u32::from_be_bytes)?;
        let length = usize::from(self.number()?);
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let mut inside = Reader {
            bytes: self.bytes.get(..end).ok_or(Malformed)?,
            at: self.at,
        };
        self.at = end;
        let data = inside.data(kind)?;
        let data = data.filter(|_| class & !TOP == IN);
        Ok(data.map(|data| Record {
            name,
            flush: class & TOP != 0,
            ttl,
            data,
        }))
    }

    /// The data of a record, which is all that is left.
    fn data(&mut self, kind: u16) -> Result<Option<Data>, Malformed> {
        Ok(Some(match kind {
            kind::PTR => Data::Ptr(self.name()?),
            kind::SRV => {
                self.take(4)?; // priority and weight, which sidecars do not use
                Data::Srv {
                    port: self.number()?,
                    target: self.name()?,
                }
            }
            kind::TXT => Data::Txt(self.texts()?),
            kind::A => Data::A(Ipv4Addr::from(self.array::<4>()?)),
            kind::AAAA => Data::Aaaa(Ipv6Addr::from(self.array::<16>()?)),
            _ => return Ok(None),
        }))
    }

    fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let mut texts = Vec::new();
        while self.at < self.bytes.len() {
            let length = usize::from(self.array::<1>()?[0]);
            texts.push(String::from_utf8_lossy(self.take(length)?).into_owned());
        }
        Ok(texts)
    }

    /// A name; a dot inside a label is written `\.`.
    fn name(&mut self) -> Result<String, Malformed> {
        let mut name = String::new();
        let mut reader = Reader { ..*self };
        let mut start = self.at;
        let mut jumped = false;
        loop {
            let length = reader.array::<1>()?[0];
            match length {
                0 => break,
                1..=63 => label(&mut name, reader.take(usize::from(length))?)?,
                192.. => {
                    let target =
                        usize::from(length & 63) << 8 | usize::from(reader.array::<1>()?[0]);
                    if !jumped {
                        self.at = reader.at;
                        jumped = true;
                    }
                    if target >= start {
                        return Err(Malformed);
                    }
                    start = target;
                    reader.at = target;
                }
                _ => return Err(Malformed),
            }
        }
        if !jumped {
            self.at = reader.at;
        }
        Ok(name)
    }
}

fn label(name: &mut String, bytes: &[u8]) -> Result<(), Malformed> {
    let label = String::from_utf8_lossy(bytes);
    if label.contains('.') {
        name.push_str(&label.replace('.', "\\."));
    } else {
        name.push_str(&label);
    }
    name.push('.');
    // Text may be longer than bytes: by escapes, and by what stands for bytes that are no text.
    if name.len() > 4 * LONGEST_NAME {
        return Err(Malformed);
    }
    Ok(())
}
