//! OpenTelemetry's own protocol, over gRPC and over HTTP.

mod message;

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use prost::Message as _;
use rustls::crypto::CryptoProvider;
use trilby_proto::opentelemetry::collector::trace::v1::ExportTraceServiceResponse;

use super::ExportError;
use super::connection::{self, Answer, Server, Version};
use crate::pipeline::BuildError;
use crate::resource::{Resource, percent_decoded};
use crate::settings::{Otlp as Settings, Protocol};
use crate::span::SpanData;

/// The method of OpenTelemetry's collectors.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The path over HTTP, where the endpoint names none.
const HTTP_PATH: &str = "/v1/traces";
/// The ports of OpenTelemetry's collectors.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

/// Sends batches to a collector.
pub(crate) struct Otlp {
    server: Server,
    protocol: Protocol,
    url: Uri,
    address: String,
    headers: HeaderMap,
    resource: Arc<Resource>,
}

impl Otlp {
    pub(crate) fn new(
        settings: &Settings,
        resource: &Arc<Resource>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, BuildError> {
        let invalid = |problem: String| BuildError::Address {
            what: "the OTLP endpoint",
            address: settings.endpoint.clone(),
            problem,
        };
        let (authority, path) = match settings.endpoint.split_once('/') {
            Some((authority, path)) => (authority, Some(format!("/{path}"))),
            None => (settings.endpoint.as_str(), None),
        };
        let (port, path) = match settings.protocol {
            Protocol::Grpc => (GRPC_PORT, GRPC_PATH.to_owned()),
            Protocol::Http => {
                let given = path.filter(|path| path.len() > 1);
                (HTTP_PORT, given.unwrap_or_else(|| HTTP_PATH.to_owned()))
            }
        };
        let (host, port) = connection::host_and_port(authority, port)
            .ok_or_else(|| invalid("expected host:port".to_owned()))?;
        let certificate = settings.certificate.as_deref();
        let tls = settings
            .secure
            .then(|| connection::tls(provider, certificate))
            .transpose()?;
        let server = Server {
            host,
            port,
            tls,
            timeout: settings.timeout,
        };
        // HTTP/1 asks for a path, HTTP/2 for a whole URL.
        let url = match settings.protocol {
            Protocol::Grpc => connection::url(&server, &path),
            Protocol::Http => path.parse().map_err(http::Error::from),
        };
        Ok(Self {
            url: url.map_err(|error| invalid(error.to_string()))?,
            server,
            protocol: settings.protocol,
            address: settings.endpoint.clone(),
            headers: settings.headers.clone(),
            resource: Arc::clone(resource),
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.protocol {
            Protocol::Grpc => "otlp-grpc",
            Protocol::Http => "otlp-http",
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn export(&self, batch: &[Arc<SpanData>]) -> Result<(), ExportError> {
        let message = message::request(&self.resource, batch);
        let body = match self.protocol {
            Protocol::Grpc => {
                let answer = self
                    .server
                    .send(self.request(framed(&message)), Version::Http2)
                    .await?;
                check_grpc(&answer)?;
                answer.body.slice(answer.body.len().min(FRAME)..)
            }
            Protocol::Http => {
                let body = Bytes::from(message.encode_to_vec());
                let answer = self.server.send(self.request(body), Version::Http1).await?;
                if !answer.status.is_success() {
                    return Err(ExportError::of_status(answer.status, &answer.body));
                }
                answer.body
            }
        };
        report_rejected(&body);
        Ok(())
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        match self.protocol {
            Protocol::Grpc => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
            Protocol::Http => {
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/x-protobuf"),
                );
                let host = HeaderValue::from_str(&self.server.authority());
                headers.insert(
                    http::header::HOST,
                    host.expect("an authority of a URL is a header value"),
                );
            }
        }
        request
    }
}

/// Length of what stands before a message of gRPC: a flag and its length.
const FRAME: usize = 5;

fn framed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(FRAME + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a batch is far below 4 GiB"));
    message.encode(&mut bytes).expect("the buffer grows");
    bytes.freeze()
}

/// The codes of gRPC that OpenTelemetry's protocol calls worth another attempt.
const PASSING: [&str; 7] = ["1", "4", "8", "10", "11", "14", "15"];

fn check_grpc(answer: &Answer) -> Result<(), ExportError> {
    if answer.status != StatusCode::OK {
        return Err(ExportError::of_status(answer.status, &answer.body));
    }
    let find = |name: &str| {
        let value = answer
            .trailers
            .get(name)
            .or_else(|| answer.headers.get(name))?;
        value.to_str().ok()
    };
    let code = find("grpc-status")
        .ok_or_else(|| ExportError::Passing("the answer has no grpc-status".to_owned()))?;
    if code == "0" {
        return Ok(());
    }
    let text = format!(
        "gRPC status {code}: {}",
        percent_decoded(find("grpc-message").unwrap_or_default())
    );
    Err(match PASSING.contains(&code) {
        true => ExportError::Passing(text),
        false => ExportError::Refused(text),
    })
}

/// A collector may take a batch but for some spans, and say why.
fn report_rejected(body: &[u8]) {
    let Ok(ExportTraceServiceResponse {
        partial_success: Some(partial),
    }) = ExportTraceServiceResponse::decode(body)
    else {
        return;
    };
    if partial.rejected_spans > 0 || !partial.error_message.is_empty() {
        let (rejected, reason) = (partial.rejected_spans, partial.error_message);
        tracing::debug!(rejected, reason, "the collector did not take every span");
    }
}
