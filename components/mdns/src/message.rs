//! DNS messages, as far as multicast DNS of sidecars needs them. Pure.
//!
//! Names are text with a dot behind each label (`orders.local.`). Names are compressed by others and never by us.

mod decode;
mod encode;

use std::net::{Ipv4Addr, Ipv6Addr};

/// The largest message of multicast DNS, in bytes (RFC 6762, section 17).
pub(crate) const LARGEST: usize = 9000;

/// Record types.
mod kind {
    pub(super) const A: u16 = 1;
    pub(super) const PTR: u16 = 12;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
}

/// The class of everything here, the Internet.
const IN: u16 = 1;
/// The highest bit of a class: of a question, that a unicast answer will do; of a record, that it replaces what
/// was known.
const TOP: u16 = 1 << 15;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    pub(crate) id: u16,
    /// Whether it answers rather than asks.
    pub(crate) response: bool,
    pub(crate) questions: Vec<Question>,
    pub(crate) answers: Vec<Record>,
    /// Whether it has records of authority: those of a probe.
    pub(crate) probe: bool,
    pub(crate) additional: Vec<Record>,
}

impl Message {
    /// Asks which instances `service` has.
    pub(crate) fn question(service: String) -> Self {
        let question = Question {
            name: service,
            kind: kind::PTR,
            unicast: false,
        };
        Self {
            questions: vec![question],
            ..Self::default()
        }
    }

    /// All its records.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.answers.iter().chain(&self.additional)
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: u16,
    /// Whether the answer may go to the asker alone.
    pub(crate) unicast: bool,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// Whether it replaces what was known.
    pub(crate) flush: bool,
    /// How long it is true, in seconds; 0 is no longer.
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// An instance of a service.
    Ptr(String),
    /// Where an instance listens.
    Srv { port: u16, target: String },
    /// Notes on an instance.
    Txt(Vec<String>),
    /// An address of a host.
    A(Ipv4Addr),
    /// An address of a host.
    Aaaa(Ipv6Addr),
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Self::Ptr(_) => kind::PTR,
            Self::Srv { .. } => kind::SRV,
            Self::Txt(_) => kind::TXT,
            Self::A(_) => kind::A,
            Self::Aaaa(_) => kind::AAAA,
        }
    }
}

#[cfg(test)]
mod tests;
