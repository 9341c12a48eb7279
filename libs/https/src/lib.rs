//! Small requests to servers on the web, such as identity providers and directories: HTTP/1.1 over TLS that is
//! verified against the system's certificates (`SSL_CERT_FILE`, `SSL_CERT_DIR` say otherwise) unless [`Tls`] says
//! how else, or over plain TCP where the URL says so. Every request has a limit on time and size.
//!
//! Deliberately absent: streaming, HTTP/2, proxies, cookies, retries, and any connection before the first request.

pub mod authorities;
mod redirect;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

pub use tls::{Identity, Tls, TlsError, Verification};

/// Redirects that a request follows, as Go's client does.
const MOST_REDIRECTS: usize = 10;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none, or leads to nothing that can be asked over HTTP.
    #[error("invalid URL {0:?}")]
    Url(String),
    /// The system has no certificates to verify servers with.
    #[error("no certificates of authorities could be loaded: {0}")]
    Roots(std::io::Error),
    /// The server cannot be reached, or broke off.
    #[error("{0}")]
    Transport(String),
    /// The answer took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// One redirect after another.
    #[error("stopped after {MOST_REDIRECTS} redirects")]
    Redirects,
}

/// How long an answer may take, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until its last byte, redirects included.
    pub time: Duration,
    /// In bytes.
    pub size: usize,
}

/// A client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    /// Loads the system's certificates.
    ///
    /// # Errors
    /// There are none.
    pub fn new() -> Result<Self, Error> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(Error::Roots)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self::over(connector))
    }

    /// Trusts servers, and proves itself to them, as `tls` says.
    ///
    /// # Errors
    /// Something in it cannot be used.
    pub fn with_tls(tls: &Tls) -> Result<Self, TlsError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config()?)
            .https_or_http();
        let connector = match tls.server_name()? {
            Some(name) => connector.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => connector,
        };
        Ok(Self::over(connector.enable_http1().build()))
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { pool }
    }

    /// Sends one request and reads its answer; redirects are answers.
    ///
    /// # Errors
    /// See [`Error`]; a status of any kind is an answer.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Error> {
        let answer = tokio::time::timeout(limits.time, self.exchange(request, limits.size));
        answer.await.map_err(|_| Error::Timeout(limits.time))?
    }

    /// Gets `url`, following redirects.
    ///
    /// # Errors
    /// See [`Error`]; a status of any kind is an answer.
    pub async fn get(&self, url: &str, limits: Limits) -> Result<Response<Bytes>, Error> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.parse().map_err(|_| Error::Url(url.to_owned()))?;
        self.send_following(request, limits).await
    }

    /// Sends a request and those that redirects ask for, in the rules of Go's client. Credentials and
    /// [sensitive](http::HeaderValue::is_sensitive) headers do not go to another server.
    ///
    /// # Errors
    /// See [`Error`]; a status of any kind is an answer.
    pub async fn send_following(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Error> {
        let answer = tokio::time::timeout(limits.time, self.follow(request, limits.size));
        answer.await.map_err(|_| Error::Timeout(limits.time))?
    }

    async fn follow(
        &self,
        mut request: Request<Bytes>,
        size: usize,
    ) -> Result<Response<Bytes>, Error> {
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.exchange(request.clone(), size).await?;
            match redirect::next(&request, &answer) {
                Some(next) => request = next?,
                None => return Ok(answer),
            }
        }
        Err(Error::Redirects)
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        size: usize,
    ) -> Result<Response<Bytes>, Error> {
        let uri = request.uri();
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::Url(uri.to_string()));
        }
        let response = self.pool.request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|error| innermost(&error))?.into_parts();
        let body = Limited::new(body, size).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::TooLarge(size)
            } else {
                innermost(&*error)
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The reason at the bottom: the layers above repeat each other.
fn innermost(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut reason = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    Error::Transport(reason.to_string())
}

#[cfg(test)]
mod tests;
