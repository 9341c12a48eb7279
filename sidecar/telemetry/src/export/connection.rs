//! One request on a connection of its own.
//!
//! Batches leave every few seconds: keeping a connection open for them would cost memory all the time to save a
//! handshake now and then, and a kept connection that died unseen would cost a batch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ExportError;
use crate::pipeline::BuildError;

/// The longest answer that is read, in bytes. Answers are empty or hold an error's text.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A server that takes spans.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The longest that one request may take, connecting included.
    pub(super) timeout: Duration,
}

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: http::StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

impl Server {
    /// The scheme of its URLs.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Host and port, as a URL has them.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Sends one request. Whatever goes wrong on the way may pass.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        version: Version,
    ) -> Result<Answer, ExportError> {
        let exchange = tokio::time::timeout(self.timeout, self.exchange(request, version));
        let late = || Err(format!("no answer within {:?}", self.timeout));
        exchange
            .await
            .unwrap_or_else(|_| late())
            .map_err(ExportError::Passing)
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        version: Version,
    ) -> Result<Answer, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let Some(tls) = &self.tls else {
            return speak(stream, request, version).await;
        };
        let mut tls = ClientConfig::clone(tls);
        tls.alpn_protocols = match version {
            Version::Http1 => vec![b"http/1.1".to_vec()],
            Version::Http2 => vec![b"h2".to_vec()],
        };
        let name = ServerName::try_from(self.host.clone()).map_err(text)?;
        let stream = TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .map_err(text)?;
        speak(stream, request, version).await
    }
}

async fn speak<I>(
    stream: I,
    request: Request<Full<Bytes>>,
    version: Version,
) -> Result<Answer, String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    match version {
        Version::Http1 => {
            let (mut sender, connection) = http1::handshake(io).await.map_err(text)?;
            driven(connection, async {
                read(sender.send_request(request).await).await
            })
            .await
        }
        Version::Http2 => {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(text)?;
            driven(connection, async {
                read(sender.send_request(request).await).await
            })
            .await
        }
    }
}

/// Runs the connection while an answer is waited for, and drops it then.
async fn driven(
    connection: impl Future<Output = hyper::Result<()>>,
    exchange: impl Future<Output = Result<Answer, String>>,
) -> Result<Answer, String> {
    tokio::pin!(connection, exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => return answer,
        // It may end because everything was read. Then the answer is there; else the exchange says what is wrong.
        _ = &mut connection => {}
    }
    exchange.await
}

async fn read(response: hyper::Result<Response<Incoming>>) -> Result<Answer, String> {
    let (head, body) = response.map_err(text)?.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        trailers,
        body: body.to_bytes(),
    })
}

/// An error with its causes, which hyper's own text leaves out.
fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A URL of `server`.
pub(super) fn url(server: &Server, path: &str) -> Result<Uri, http::Error> {
    let builder = Uri::builder()
        .scheme(server.scheme())
        .authority(server.authority());
    builder.path_and_query(path).build()
}

/// Splits `host:port`; without a port, `default` is meant.
pub(super) fn host_and_port(address: &str, default: u16) -> Option<(String, u16)> {
    let authority: http::uri::Authority = address.parse().ok()?;
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None if address.ends_with(':') => return None,
        None => default,
    };
    (!bare.is_empty()).then(|| (bare.to_owned(), port))
}

/// TLS that trusts the anchors in `file`, else those of the system.
pub(super) fn tls(
    provider: &Arc<CryptoProvider>,
    file: Option<&str>,
) -> Result<Arc<ClientConfig>, BuildError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => add_file(&mut roots, path)?,
        None => {
            let system = rustls_native_certs::load_native_certs().certs;
            let (_added, ignored) = roots.add_parsable_certificates(system);
            tracing::debug!(ignored, "the system's trust anchors are loaded");
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &str) -> Result<(), BuildError> {
    let failed = |problem: String| BuildError::Anchors {
        path: path.to_owned(),
        problem,
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(())
}
