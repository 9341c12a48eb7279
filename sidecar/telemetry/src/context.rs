//! Where a request is in its trace, as W3C's `traceparent` and gRPC's `grpc-trace-bin` write it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderName, HeaderValue};

/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The binary form that gRPC of OpenCensus' time uses.
pub const TRACE_BIN: HeaderName = HeaderName::from_static("grpc-trace-bin");

/// The longest `tracestate` that is passed on in an answer, in bytes.
pub(crate) const MAX_STATE: usize = 512;
/// The length of a binary trace context: version, and trace id, span id and flags, each behind its tag.
const BINARY_LENGTH: usize = 29;
/// The longest text of one: base64 with padding.
const BINARY_TEXT: usize = 40;
/// `00-<trace id>-<span id>-<flags>`.
const TEXT_LENGTH: usize = 55;
/// The most members that a `tracestate` may have.
const MAX_MEMBERS: usize = 32;

/// The flag of a trace that is recorded.
pub(crate) const SAMPLED: u8 = 1;

/// A span's place in a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace; zero means none.
    pub trace_id: [u8; 16],
    /// The span; zero means none.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

impl SpanContext {
    /// No place in any trace.
    pub const NONE: Self = Self {
        trace_id: [0; 16],
        span_id: [0; 8],
        flags: 0,
    };

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether there is a trace and a span.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// Reads a `traceparent`. Later versions are read as far as this one knows them.
    #[must_use]
    pub fn from_text(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes().trim_ascii();
        let (known, rest) = text.split_at_checked(TEXT_LENGTH)?;
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let version = unhex::<1>(&known[..2])?[0];
        let longer = !rest.is_empty();
        let rest_is_right = match version {
            0 => !longer,
            0xff => false,
            _ => !longer || rest[0] == b'-',
        };
        let context = Self {
            trace_id: unhex(&known[3..35])?,
            span_id: unhex(&known[36..52])?,
            flags: unhex::<1>(&known[53..55])?[0],
        };
        (dashes && rest_is_right && context.is_valid()).then_some(context)
    }

    /// Writes a `traceparent`.
    #[must_use]
    pub fn to_text(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(&self.trace_id, &mut text[3..35]);
        hex(&self.span_id, &mut text[36..52]);
        hex(&[self.flags], &mut text[53..55]);
        HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes")
    }

    /// Reads a `grpc-trace-bin`, with or without padding. Missing fields at its end are zero, as upstream reads it.
    #[must_use]
    pub fn from_binary(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes().trim_ascii();
        // Longer ones hold nothing that is known here; a bomb is not decoded.
        if text.len() > 2 * BINARY_TEXT {
            return None;
        }
        let bytes = STANDARD_NO_PAD
            .decode(text)
            .or_else(|_| STANDARD.decode(text));
        Self::from_bytes(&bytes.ok()?).filter(|context| context.trace_id != [0; 16])
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (trace_id, mut rest) = rest.split_first_chunk()?;
        let mut context = Self {
            trace_id: *trace_id,
            ..Self::NONE
        };
        if let Some((span_id, after)) = tagged(rest, 1) {
            (context.span_id, rest) = (*span_id, after);
        }
        if let Some(([flags], _)) = tagged(rest, 2) {
            context.flags = *flags;
        }
        Some(context)
    }

    /// Writes a `grpc-trace-bin` the way Go's gRPC sends it: without padding.
    #[must_use]
    pub fn to_binary(&self) -> HeaderValue {
        let mut text = [0; BINARY_TEXT];
        let written = STANDARD_NO_PAD.encode_slice(self.to_bytes(), &mut text);
        base64_value(&text[..written.expect("40 bytes hold 29 encoded")])
    }

    /// Writes a `grpc-trace-bin` with padding, which upstream's sidecars need where it travels inside a message.
    #[must_use]
    pub fn to_padded_binary(&self) -> HeaderValue {
        let mut text = [0; BINARY_TEXT];
        let written = STANDARD.encode_slice(self.to_bytes(), &mut text);
        base64_value(&text[..written.expect("40 bytes hold 29 encoded")])
    }

    fn to_bytes(self) -> [u8; BINARY_LENGTH] {
        let mut bytes = [0; BINARY_LENGTH];
        bytes[2..18].copy_from_slice(&self.trace_id);
        bytes[18] = 1;
        bytes[19..27].copy_from_slice(&self.span_id);
        bytes[27] = 2;
        bytes[28] = self.flags;
        bytes
    }
}

impl fmt::Debug for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_text().to_str().unwrap_or_default())
    }
}

fn tagged<const N: usize>(bytes: &[u8], tag: u8) -> Option<(&[u8; N], &[u8])> {
    bytes.strip_prefix(&[tag])?.split_first_chunk()
}

fn base64_value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("base64 is ASCII")
}

/// Lower-case hexadecimal digits, twice as many as `bytes`.
pub(crate) fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, text) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        text[0] = DIGITS[usize::from(byte >> 4)];
        text[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// An id as text.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len() * 2];
    hex(bytes, &mut text);
    text.into_iter().map(char::from).collect()
}

/// Exactly `2 * N` lower-case digits, which is what W3C allows.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Whether a `tracestate` may be passed on: W3C's grammar, no name twice.
pub(crate) fn is_state(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let mut names: Vec<&str> = Vec::new();
    for member in text.split(',').filter(|member| !member.is_empty()) {
        let Some((name, value)) = member.split_once('=') else {
            return false;
        };
        let name = name.trim_start_matches([' ', '\t']);
        let value = value.trim_end_matches([' ', '\t']);
        if !is_state_name(name) || !is_state_value(value) || names.contains(&name) {
            return false;
        }
        names.push(name);
    }
    (1..=MAX_MEMBERS).contains(&names.len())
}

fn is_state_name(name: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase();
    let lower_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match name.split_once('@') {
        None => is_state_name_part(name, 256, lower),
        Some((tenant, system)) => {
            is_state_name_part(tenant, 241, lower_or_digit) && is_state_name_part(system, 14, lower)
        }
    }
}

fn is_state_name_part(part: &str, longest: usize, may_begin: impl Fn(u8) -> bool) -> bool {
    let rest =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
    let bytes = part.as_bytes();
    bytes.len() <= longest
        && bytes.first().copied().is_some_and(may_begin)
        && bytes[1..].iter().all(rest)
}

fn is_state_value(value: &str) -> bool {
    let allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(allowed) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests;
