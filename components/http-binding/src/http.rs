//! `bindings.http`: an operation is a method, what comes back is the answer.
//!
//! Better than upstream's: an answer that is too large is an error, not cut; a caller sets headers, never the frame of
//! the request; a certificate that is none in PEM is never read as the name of a file.

mod settings;

use std::str::FromStr as _;

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use hyper::ext::ReasonPhrase;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply};
use trilby_components::metadata::Metadata;
use trilby_components::registry::InitError;
use trilby_go_syntax::truthy;
use trilby_https::{Client, Limits};

use crate::caller::{log_in, set_header, url};
use crate::failed;
pub(crate) use settings::Settings;

/// What is sent, and asked for, unless something else is said.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// Every operation, with its method; the first is an old name.
const OPERATIONS: &[(&str, Method)] = &[
    ("create", Method::POST),
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("trace", Method::TRACE),
];
/// Of the trace that a request belongs to: the sidecar sets them, and they win over headers of the same name.
const TRACE: &[&str] = &["traceparent", "tracestate", "baggage"];

/// Requests to one server.
pub struct HttpBinding {
    client: Client,
    limits: Limits,
    target: Target,
}

/// What requests have in common.
struct Target {
    url: String,
    /// A header that is a secret.
    token: Option<(HeaderName, HeaderValue)>,
    /// Whether an answer is an error unless its status says success.
    error_if_not_2xx: bool,
}

impl HttpBinding {
    /// Reads its settings, and the certificates that they name. Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        Ok(Self {
            client: settings.client().await?,
            limits: settings.limits(),
            target: settings.target()?,
        })
    }
}

#[async_trait]
impl OutputBinding for HttpBinding {
    fn operations(&self) -> Vec<String> {
        let names = OPERATIONS.iter().map(|(name, _)| (*name).to_owned());
        names.collect()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let request = self.target.request(&invocation)?;
        let answer = self.client.send_following(request, self.limits).await;
        let answer = answer.map_err(|error| failed(&error))?;
        self.target.reply(answer, &invocation.metadata)
    }
}

impl Target {
    fn request(&self, invocation: &Invocation) -> Result<Request<Bytes>, BindingError> {
        let metadata = &invocation.metadata;
        let mut operations = OPERATIONS.iter();
        let operation = operations.find(|(name, _)| *name == invocation.operation);
        let (_, method) = operation.ok_or_else(|| {
            BindingError::InvalidRequest(format!("invalid operation: {}", invocation.operation))
        })?;
        let has_body = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        let body = has_body.then(|| invocation.data.clone());
        let mut request = Request::new(body.unwrap_or_default());
        *request.method_mut() = method.clone();
        let uri = url(&self.url(metadata.get("path")));
        *request.uri_mut() = uri.map_err(BindingError::InvalidRequest)?;
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, JSON);
        }
        self.fill(request.headers_mut(), metadata)?;
        log_in(&mut request);
        Ok(request)
    }

    fn url(&self, path: Option<&String>) -> String {
        match path.map(String::as_str).unwrap_or_default() {
            "" => self.url.clone(),
            path => {
                let base = self.url.trim_end_matches('/');
                format!("{base}/{}", path.trim_start_matches('/'))
            }
        }
    }

    fn fill(
        &self,
        headers: &mut HeaderMap,
        metadata: &RequestMetadata,
    ) -> Result<(), BindingError> {
        headers.insert(ACCEPT, JSON);
        if let Some((name, value)) = &self.token {
            headers.insert(name, value.clone());
        }
        // A contract: whatever begins with an upper-case letter is a header.
        let is_header = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
        for (name, value) in metadata.iter().filter(|(name, _)| is_header(name)) {
            set_header(headers, name, value)?;
        }
        for name in TRACE {
            if let Some(value) = metadata.get(*name).filter(|value| !value.is_empty()) {
                set_header(headers, name, value)?;
            }
        }
        Ok(())
    }

    fn reply(
        &self,
        answer: Response<Bytes>,
        metadata: &RequestMetadata,
    ) -> Result<Reply, BindingError> {
        let said = metadata.get("errorIfNot2XX");
        let said = said.filter(|said| !said.is_empty());
        let error_if_not_2xx = said.map_or(self.error_if_not_2xx, |said| truthy(said));
        let status = answer.status();
        let reply = Reply {
            metadata: told(&answer),
            content_type: text(answer.headers().get(CONTENT_TYPE)),
            data: Some(answer.into_body()),
        };
        match error_if_not_2xx && !status.is_success() {
            true => Err(BindingError::Refused {
                error: format!("received status code {}", status.as_u16()),
                reply: Box::new(reply),
            }),
            false => Ok(reply),
        }
    }
}

/// Status and headers, several of one name as one.
fn told(answer: &Response<Bytes>) -> RequestMetadata {
    let status = answer.status();
    let mut told = RequestMetadata::from([
        ("statusCode".to_owned(), status.as_u16().to_string()),
        ("status".to_owned(), with_reason(answer, status)),
    ]);
    for name in answer.headers().keys() {
        let values = answer.headers().get_all(name);
        let values: Vec<_> = values
            .iter()
            .filter_map(|value| text(Some(value)))
            .collect();
        told.insert(canonical(name), values.join(", "));
    }
    told
}

fn with_reason(answer: &Response<Bytes>, status: StatusCode) -> String {
    let reason = match answer.extensions().get::<ReasonPhrase>() {
        Some(own) => String::from_utf8_lossy(own.as_bytes()),
        None => status.canonical_reason().unwrap_or_default().into(),
    };
    format!("{} {reason}", status.as_u16())
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    let value = value?.as_bytes();
    Some(String::from_utf8_lossy(value).into_owned())
}

/// A name as Go writes it: each word with a capital letter.
fn canonical(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

/// The header that a token is sent in.
fn token(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_str(name).map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests;
