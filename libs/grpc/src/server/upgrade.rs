//! A client that begins in HTTP/1.1 and asks to go on in HTTP/2 (RFC 7540 §3.2).
//!
//! The library that speaks HTTP/2 knows nothing of this. So the request that asked is written as the frames of stream 1
//! and slipped in behind the client's preface, where the server reads it like any other.
//!
//! A request with a body, or whose settings cannot be read, is answered in HTTP/1.1, which every server may do.

use std::{io, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::preface::PREFACE;

const SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Bytes of one setting.
const SETTING: usize = 6;
/// Bytes before a frame's payload.
const FRAME_HEAD: usize = 9;
/// The largest payload that a server takes unless it says otherwise, which ours does not.
const LARGEST_PAYLOAD: usize = 16 * 1024;
/// The stream of the request that asked.
const STREAM: u32 = 1;

/// Frame types and flags of RFC 7540 §6.
const HEADERS_FRAME: u8 = 1;
const SETTINGS_FRAME: u8 = 4;
const CONTINUATION_FRAME: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Where the request of a connection that asked is kept until the connection has changed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Upgrade(Arc<Mutex<Option<Asked>>>);

/// A request that asked to go on in HTTP/2.
#[derive(Debug)]
pub(super) struct Asked {
    connection: OnUpgrade,
    settings: Vec<u8>,
    /// Its head as a header block (RFC 7541).
    head: Bytes,
}

// === impl Upgrade ===

impl Upgrade {
    /// Takes the request if it asks for HTTP/2 and can be answered there. The answer says so.
    pub(super) fn begin<B: Default>(&self, request: &mut Request<Incoming>) -> Option<Response<B>> {
        let settings = settings(request)?;
        *self.0.lock() = Some(Asked {
            connection: hyper::upgrade::on(&mut *request),
            settings,
            head: header_block(request),
        });
        let mut switching = Response::new(B::default());
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switching.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("h2c"));
        Some(switching)
    }

    /// The request that was taken, if any.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.0.lock().take()
    }
}

// === impl Asked ===

impl Asked {
    /// The connection as HTTP/2 sees it, once the client has sent its preface. `I` is what HTTP/1.1 was spoken on,
    /// and `inner` what of it is left.
    ///
    /// # Errors
    /// The client left, or says something else.
    pub(super) async fn connection<I, J>(
        self,
        inner: fn(I) -> J,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        J: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let upgraded: Upgraded = self.connection.await.map_err(io::Error::other)?;
        let parts = upgraded
            .downcast::<TokioIo<I>>()
            .expect("it is what HTTP/1.1 was served on");
        let (read, write) = tokio::io::split(inner(parts.io.into_inner()));
        let mut read = io::Cursor::new(parts.read_buf).chain(read);
        let mut before = preface(&mut read, &self.settings).await?;
        put_request(&mut before, &self.head);
        let before = io::Cursor::new(before.freeze());
        Ok(tokio::io::join(before.chain(read), write))
    }
}

/// The settings of a request that asks for HTTP/2 and can be answered there.
fn settings(request: &Request<Incoming>) -> Option<Vec<u8>> {
    let headers = request.headers();
    let asks = request.version() == Version::HTTP_11
        && names(headers, &UPGRADE, "h2c")
        && names(headers, &CONNECTION, SETTINGS.as_str());
    if !asks || !request.body().is_end_stream() {
        return None;
    }
    let mut given = headers.get_all(SETTINGS).iter();
    let (Some(settings), None) = (given.next(), given.next()) else {
        return None;
    };
    let settings = BASE64_URL_SAFE_NO_PAD.decode(settings).ok()?;
    (settings.len() % SETTING == 0 && settings.len() <= LARGEST_PAYLOAD).then_some(settings)
}

/// Whether a list in these headers has an entry.
fn names(headers: &HeaderMap, name: &HeaderName, entry: &str) -> bool {
    entries(headers, name).any(|given| given.eq_ignore_ascii_case(entry))
}

fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

/// Reads the client's preface with its first frame, into which the settings go that it sent before.
async fn preface(read: &mut (impl AsyncRead + Unpin), settings: &[u8]) -> io::Result<BytesMut> {
    let mut first = [0; PREFACE.len() + FRAME_HEAD];
    read.read_exact(&mut first).await?;
    let (preface, head) = first.split_at(PREFACE.len());
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    if preface != PREFACE || head[3] != SETTINGS_FRAME || head[4] & ACK != 0 {
        return Err(invalid("the client does not begin as HTTP/2 does"));
    }
    let all = settings.len() + length;
    if all > LARGEST_PAYLOAD {
        return Err(invalid("the client's settings are too long"));
    }
    let mut begun = BytesMut::with_capacity(first.len() + all);
    begun.put_slice(preface);
    put_frame_head(&mut begun, all, (SETTINGS_FRAME, 0), 0);
    begun.put_slice(settings);
    let own = begun.len();
    begun.resize(own + length, 0);
    read.read_exact(&mut begun[own..]).await?;
    Ok(begun)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn put_frame_head(to: &mut BytesMut, length: usize, (kind, flags): (u8, u8), stream: u32) {
    to.put_uint(length as u64, 3);
    to.put_slice(&[kind, flags]);
    to.put_u32(stream);
}

/// A request without a body, in as many frames as its head takes.
fn put_request(to: &mut BytesMut, head: &[u8]) {
    let mut kind = HEADERS_FRAME;
    let mut rest = head;
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(LARGEST_PAYLOAD));
        let mut flags = 0;
        if kind == HEADERS_FRAME {
            flags |= END_STREAM;
        }
        if left.is_empty() {
            flags |= END_HEADERS;
        }
        put_frame_head(to, part.len(), (kind, flags), STREAM);
        to.put_slice(part);
        (kind, rest) = (CONTINUATION_FRAME, left);
    }
}

/// A request's head as HTTP/2 has it: without what concerned the former connection.
fn header_block<B>(request: &Request<B>) -> Bytes {
    let (uri, headers) = (request.uri(), request.headers());
    let mut block = BytesMut::new();
    put_field(&mut block, ":method", request.method().as_str().as_bytes());
    put_field(&mut block, ":scheme", b"http");
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    put_field(&mut block, ":path", path.as_bytes());
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority.or(host) {
        put_field(&mut block, ":authority", authority);
    }
    for (name, value) in headers {
        if concerns_the_request(name, value) && !names(headers, &CONNECTION, name.as_str()) {
            put_field(&mut block, name.as_str(), value.as_bytes());
        }
    }
    block.freeze()
}

fn concerns_the_request(name: &HeaderName, value: &HeaderValue) -> bool {
    let former = [
        CONNECTION,
        HOST,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        SETTINGS,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    !former.contains(name) && (name != TE || value == "trailers")
}

/// A literal field with a new name, not indexed (RFC 7541 §6.2.2).
fn put_field(block: &mut BytesMut, name: &str, value: &[u8]) {
    block.put_u8(0);
    put_text(block, name.as_bytes());
    put_text(block, value);
}

/// A string as it is, without Huffman's code (RFC 7541 §5.2).
fn put_text(block: &mut BytesMut, text: &[u8]) {
    const PREFIX: usize = 0x7f;
    let mut rest = text.len();
    if rest < PREFIX {
        block.put_u8(rest as u8);
    } else {
        block.put_u8(PREFIX as u8);
        rest -= PREFIX;
        while rest >= 0x80 {
            block.put_u8((rest % 0x80) as u8 | 0x80);
            rest /= 0x80;
        }
        block.put_u8(rest as u8);
    }
    block.put_slice(text);
}
