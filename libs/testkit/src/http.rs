//! A small HTTP/1.1 client for tests: one connection a request, whole bodies, bounded in time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;

use crate::network::Network;

/// Limit for one request, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// Makes requests in one network.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    network: Network,
}

impl Client {
    /// Requests are made in the machine's network.
    pub fn host() -> Self {
        Self::within(Network::Host)
    }

    /// Requests are made in this network.
    pub fn within(network: Network) -> Self {
        Self { network }
    }

    /// `GET`; the URL's host must be an IP address.
    ///
    /// # Errors
    /// If there is no answer; an answer of any status is none.
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.send(Method::GET, url, "").await
    }

    /// `POST` of JSON text.
    ///
    /// # Errors
    /// If there is no answer; an answer of any status is none.
    pub async fn post(&self, url: &str, json: &str) -> Result<Response> {
        self.send(Method::POST, url, json).await
    }

    /// `PUT` of JSON text.
    ///
    /// # Errors
    /// If there is no answer; an answer of any status is none.
    pub async fn put(&self, url: &str, json: &str) -> Result<Response> {
        self.send(Method::PUT, url, json).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// If there is no answer; an answer of any status is none.
    pub async fn delete(&self, url: &str) -> Result<Response> {
        self.send(Method::DELETE, url, "").await
    }

    async fn send(&self, method: Method, url: &str, json: &str) -> Result<Response> {
        let mut request = Request::builder().method(method).uri(url);
        if !json.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Bytes::copy_from_slice(json.as_bytes()))
            .with_context(|| format!("{url} is no URL"))?;
        self.request(request).await
    }

    /// Any request.
    ///
    /// # Errors
    /// If there is no answer; an answer of any status is none.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Response> {
        let what = format!("{} {}", request.method(), request.uri());
        match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
            Ok(outcome) => outcome.context(what),
            Err(_) => bail!("{what}: no answer within {TIMEOUT:?}"),
        }
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response> {
        let address = address_of(request.uri())?;
        let origin_form = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .parse()?;
        *request.uri_mut() = origin_form;
        let host = address.to_string().parse()?;
        request.headers_mut().entry(header::HOST).or_insert(host);

        let stream = TokioIo::new(self.network.connect(address).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let exchange = async {
            let answer = sender.send_request(request.map(Full::new)).await?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>((parts, body))
        };
        tokio::pin!(connection, exchange);
        let (parts, body) = tokio::select! {
            outcome = &mut exchange => outcome?,
            // The connection may end first, with the answer still to be read.
            ended = &mut connection => {
                ended?;
                exchange.await?
            }
        };
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none; the message has the status and the body.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {:?}", self.status, self.text()))
    }

    /// Itself, if its status is of the 2xx.
    ///
    /// # Errors
    /// With status and body, otherwise.
    pub fn success(self) -> Result<Self> {
        if !self.status.is_success() {
            bail!("{} {}", self.status, self.text());
        }
        Ok(self)
    }
}

fn address_of(uri: &Uri) -> Result<SocketAddr> {
    let host = uri.host().context("the URL has no host")?;
    let ip = match host {
        "localhost" => "127.0.0.1",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    let ip = ip
        .parse()
        .with_context(|| format!("the host {host} is no IP address"))?;
    Ok(SocketAddr::new(ip, uri.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and gives what was asked.
    async fn serve_once(listener: TcpListener, answer: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn path_query_and_body_reach_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a/b?c=d", listener.local_addr().unwrap());
        let server = serve_once(
            listener,
            "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}",
        );
        let client = Client::host();
        let (asked, answer) = tokio::join!(server, client.post(&url, "{\"x\":1}"));
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (201, "{}")
        );
        assert!(asked.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{asked}");
        assert!(asked.ends_with("{\"x\":1}"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_that_ends_with_the_connection_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = serve_once(listener, "HTTP/1.1 200 OK\r\n\r\nto the end");
        let (_, answer) = tokio::join!(server, async { Client::host().get(&url).await });
        assert_eq!(answer.unwrap().text(), "to the end");
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error_that_names_the_request() {
        let port = crate::ports::Port::free();
        let url = format!("http://{}/x", port.address());
        let error = Client::host().get(&url).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("GET http://127.0.0.1"),
            "{error:#}"
        );
    }
}
