//! Servers that take spans: a collector over gRPC, with or without TLS, one over HTTP, and Zipkin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Response, Status};
use trilby_proto::opentelemetry::collector::trace::v1::ExportTraceServiceResponse;
use trilby_proto::opentelemetry::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use trilby_proto::opentelemetry::common::v1::KeyValue;
use trilby_proto::opentelemetry::common::v1::any_value::Value;

pub(crate) use trilby_proto::opentelemetry::collector::trace::v1::ExportTraceServiceRequest as Request;

/// Fails a test that waits for what does not come.
pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("in time")
}

/// An attribute's value.
pub(crate) fn text(pair: &KeyValue) -> &str {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("no text: {other:?}"),
    }
}

/// What was taken, in order.
#[derive(Debug)]
struct Taken<T>(Mutex<mpsc::UnboundedReceiver<T>>);

impl<T> Taken<T> {
    async fn next(&self) -> T {
        self.0
            .lock()
            .await
            .recv()
            .await
            .expect("the server runs as long as the test")
    }
}

fn taken<T>() -> (mpsc::UnboundedSender<T>, Taken<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Taken(Mutex::new(receiver)))
}

/// A collector of OpenTelemetry.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    taken: Taken<(Request, HeaderMap)>,
    refuses: Arc<AtomicBool>,
}

/// A collector whose port is taken, and that does not listen yet.
pub(crate) struct Late(TcpSocket);

impl Late {
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn start(self) -> Collector {
        Collector::serve(self.0.listen(64).unwrap(), Server::builder())
    }
}

impl Collector {
    pub(crate) async fn grpc() -> Self {
        Self::serve(
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            Server::builder(),
        )
    }

    /// With TLS, as its address; returns what to trust.
    pub(crate) async fn tls() -> (Self, String) {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = key.cert.pem();
        let identity = Identity::from_pem(&certificate, key.signing_key.serialize_pem());
        let tls = ServerTlsConfig::new().identity(identity);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (
            Self::serve(listener, Server::builder().tls_config(tls).unwrap()),
            certificate,
        )
    }

    pub(crate) async fn reserve() -> Late {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Late(socket)
    }

    fn serve(listener: TcpListener, mut server: Server) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, taken) = taken();
        let serving = server.add_service(TraceServiceServer::new(Service(sender)));
        let serving = serving.serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move { serving.await.unwrap() });
        Self {
            address,
            taken,
            refuses: Arc::default(),
        }
    }

    pub(crate) async fn http() -> Self {
        let (sender, taken) = taken();
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = Arc::clone(&refuses);
        let address = http(move |headers, body| {
            if refusing.swap(false, Ordering::SeqCst) {
                return 400;
            }
            drop(sender.send((Request::decode(body.as_slice()).unwrap(), headers)));
            200
        })
        .await;
        Self {
            address,
            taken,
            refuses,
        }
    }

    /// Answers the next request with an error.
    pub(crate) fn refuse_next(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    pub(crate) async fn next(&self) -> (Request, HeaderMap) {
        self.taken.next().await
    }
}

struct Service(mpsc::UnboundedSender<(Request, HeaderMap)>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        drop(self.0.send((message, metadata.into_headers())));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A Zipkin server.
pub(crate) struct Zipkin {
    pub(crate) address: SocketAddr,
    taken: Taken<serde_json::Value>,
}

impl Zipkin {
    pub(crate) async fn start() -> Self {
        let (sender, taken) = taken();
        let address = http(move |headers, body| {
            assert_eq!(headers["x-path"], "/api/v2/spans");
            assert_eq!(headers["content-type"], "application/json");
            drop(sender.send(serde_json::from_slice(&body).unwrap()));
            202
        })
        .await;
        Self { address, taken }
    }

    pub(crate) async fn next(&self) -> serde_json::Value {
        self.taken.next().await
    }
}

/// A server of HTTP/1.1 that answers with the status that `answer` returns for headers and body.
async fn http(mut answer: impl FnMut(HeaderMap, Vec<u8>) -> u16 + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (headers, body) = read(&mut stream).await;
            let status = answer(headers, body);
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn read(stream: &mut TcpStream) -> (HeaderMap, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
    }
    headers.insert(
        HeaderName::from_static("x-path"),
        HeaderValue::from_str(&path).unwrap(),
    );
    (headers, body)
}
