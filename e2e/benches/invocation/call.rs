//! One call, and a connection for one call after the other.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use trilby_testkit::load::Work;

const BODY: &[u8] =
    b"{\"hello\":\"world\",\"padding\":\"0123456789012345678901234567890123456789\"}";
/// The same as one message of a gRPC call: not compressed, its length, itself.
const MESSAGE: &[u8] =
    b"\0\0\0\0\x46{\"hello\":\"world\",\"padding\":\"0123456789012345678901234567890123456789\"}";

/// How an app is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, one request after the other.
    Http,
    /// gRPC, proxied, one call after the other.
    Grpc,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// Whom a sidecar passes it to, by header.
    pub(crate) app_id: Option<&'static str>,
}

/// A connection.
pub(crate) enum Connection {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Work for Call {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| self.address.to_string())?;
        stream.set_nodelay(true)?;
        let stream = TokioIo::new(stream);
        Ok(match self.protocol {
            Protocol::Http => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Connection::Http(sender)
            }
            Protocol::Grpc => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Connection::Grpc(sender)
            }
        })
    }

    /// The answer must have what was sent.
    async fn perform(&self, connection: &mut Connection, _index: usize) -> Result<()> {
        let (response, sent) = match connection {
            Connection::Http(sender) => {
                sender.ready().await?;
                (sender.send_request(self.request("", BODY)?).await?, BODY)
            }
            Connection::Grpc(sender) => {
                let authority = format!("http://{}", self.address);
                sender.ready().await?;
                let request = self.request(&authority, MESSAGE)?;
                (sender.send_request(request).await?, MESSAGE)
            }
        };
        check(response, sent).await
    }
}

impl Call {
    fn request(&self, authority: &str, body: &'static [u8]) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::post(format!("{authority}{}", self.path));
        if let Some(app_id) = self.app_id {
            request = request.header("dapr-app-id", app_id);
        }
        request = match self.protocol {
            Protocol::Http => request
                .header("host", self.address.to_string())
                .header("content-type", "application/json"),
            Protocol::Grpc => request
                .header("content-type", "application/grpc")
                .header("te", "trailers"),
        };
        Ok(request.body(Full::new(Bytes::from_static(body)))?)
    }
}

async fn check(response: Response<Incoming>, sent: &[u8]) -> Result<()> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let in_trailers = body.trailers().and_then(|all| all.get("grpc-status"));
    let status = in_trailers.or_else(|| head.headers.get("grpc-status"));
    let failed = status.is_some_and(|status| status != "0");
    let body = body.to_bytes();
    ensure!(
        head.status.is_success() && !failed && body == sent,
        "{}: {}: {}",
        head.status,
        String::from_utf8_lossy(&body),
        head.headers
            .get("grpc-message")
            .map(|message| String::from_utf8_lossy(message.as_bytes()))
            .unwrap_or_default(),
    );
    Ok(())
}
