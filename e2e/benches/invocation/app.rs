//! The app that is called: it echoes.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full, combinators::WithTrailers};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::call::Protocol;

type Trailers = std::future::Ready<Option<Result<HeaderMap, Infallible>>>;

/// An app on loopback that echoes.
pub(crate) struct App {
    address: SocketAddr,
}

impl App {
    /// Serves until the process ends.
    pub(crate) async fn start(protocol: Protocol) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(serve(stream, protocol));
            }
        });
        Ok(Self { address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn serve(stream: TcpStream, protocol: Protocol) -> Result<(), hyper::Error> {
    let stream = TokioIo::new(stream);
    match protocol {
        Protocol::Http => {
            let connection = server::conn::http1::Builder::new();
            connection.serve_connection(stream, service_fn(http)).await
        }
        Protocol::Grpc => {
            let connection = server::conn::http2::Builder::new(TokioExecutor::new());
            connection.serve_connection(stream, service_fn(grpc)).await
        }
    }
}

async fn http(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body)))
}

/// Any method: the reply is the message.
async fn grpc(
    request: Request<Incoming>,
) -> Result<Response<WithTrailers<Full<Bytes>, Trailers>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("0"),
    )]);
    let body = Full::new(body).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/grpc"),
    );
    Ok(response)
}
