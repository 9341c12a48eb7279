//! One request and its response, as the guest sees and changes them.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request};

/// The largest body that a guest reads or writes, in bytes. Bodies of the sidecar's API are limited by
/// `--max-body-size` before.
pub(crate) const MOST_BODY: usize = 64 << 20;

/// The original of the request's body can be read and replaced.
pub(crate) const BUFFER_REQUEST: u32 = 1;
/// The next handler's response can be read and replaced.
pub(crate) const BUFFER_RESPONSE: u32 = 2;
/// All that is there; trailers are not.
pub(crate) const FEATURES: u32 = BUFFER_REQUEST | BUFFER_RESPONSE;

/// A body, which may be read and may be written anew.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// What is there to read; `None` until it is needed.
    pub(crate) original: Option<Bytes>,
    /// How much of it was read.
    position: usize,
    /// What takes its place.
    written: Option<Vec<u8>>,
}

/// Both messages.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
    /// `host:port` of who asks; empty when it is the sidecar itself.
    pub(crate) source: String,
    pub(crate) status: StatusCode,
    pub(crate) response_headers: HeaderMap,
    pub(crate) response_body: Content,
    /// Whether the next handler answered.
    pub(crate) after_next: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            method: Method::GET,
            uri: Uri::default(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Content::default(),
            source: String::new(),
            status: StatusCode::OK,
            response_headers: HeaderMap::new(),
            response_body: Content::default(),
            after_next: false,
        }
    }
}

impl Exchange {
    /// For a request that is to be handled.
    pub(crate) fn new(head: &mut request::Parts, source: String) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: std::mem::take(&mut head.headers),
            source,
            ..Self::default()
        }
    }

    /// Puts what the guest made of the request in its place. The guest can still read it when the response is there.
    pub(crate) fn finish_request(&mut self, head: &mut request::Parts) -> Option<Bytes> {
        head.method = self.method.clone();
        head.uri = self.uri.clone();
        let body = self.body.take(&mut self.headers);
        head.headers = self.headers.clone();
        body
    }

    /// The path and query.
    pub(crate) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Replaces path and query.
    pub(crate) fn set_path(&mut self, path: &str) -> Result<(), String> {
        let invalid = || format!("{path:?} is no path");
        let path_and_query = match path {
            "" => "/",
            path if path.starts_with('/') => path,
            _ => return Err(invalid()),
        };
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query.parse().map_err(|_| invalid())?);
        self.uri = Uri::from_parts(parts).map_err(|_| invalid())?;
        Ok(())
    }
}

impl Content {
    /// A body that is there in whole.
    pub(crate) fn of(original: Bytes) -> Self {
        Self {
            original: Some(original),
            ..Self::default()
        }
    }

    /// Moves on by up to `room.len()` bytes of the original; true at its end.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> (usize, bool) {
        let original = self.original.as_deref().unwrap_or_default();
        let rest = &original[self.position..];
        let length = rest.len().min(room.len());
        room[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        (length, self.position == original.len())
    }

    /// Writes; the first time in the place of the original.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.written.get_or_insert_default();
        if written.len() + bytes.len() > MOST_BODY {
            return Err(format!(
                "the guest wrote a body of more than {MOST_BODY} bytes"
            ));
        }
        written.extend_from_slice(bytes);
        Ok(())
    }

    /// What the body is now, if it was read or written; `headers` are made true for it.
    pub(crate) fn take(&mut self, headers: &mut HeaderMap) -> Option<Bytes> {
        let Some(written) = self.written.take() else {
            return self.original.take();
        };
        headers.remove(TRANSFER_ENCODING);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(written.len()));
        Some(written.into())
    }
}

/// Names of headers, each once, in order.
pub(crate) fn names(headers: &HeaderMap) -> Vec<&[u8]> {
    let mut names: Vec<_> = headers
        .keys()
        .map(|name| name.as_str().as_bytes())
        .collect();
    names.sort_unstable();
    names
}

/// A name and a value of a header as the guest has them.
pub(crate) fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let name = header_name(name)?;
    let value = HeaderValue::from_bytes(value);
    let value =
        value.map_err(|_| format!("the value of header {name} has characters of control"))?;
    Ok((name, value))
}

/// A name of a header as the guest has it.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::try_from(name);
    parsed.map_err(|_| format!("{name:?} is no name of a header"))
}
