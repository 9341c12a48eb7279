//! Zipkin's JSON, version 2, as OpenTelemetry maps spans to it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rustls::crypto::CryptoProvider;
use serde_json::{Map, Value, json};

use super::ExportError;
use super::connection::{self, Server, Version};
use crate::context::hex_text;
use crate::pipeline::BuildError;
use crate::resource::{Resource, SCOPE};
use crate::span::{Kind, SpanData};

/// How long one export may take, as OpenTelemetry's libraries have it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attributes that name the other side, the better ones first.
const PEERS: [&str; 3] = ["server.address", "net.peer.name", "db.name"];

/// Sends batches to a Zipkin server.
pub(crate) struct Zipkin {
    server: Server,
    url: Uri,
    address: String,
    resource: Arc<Resource>,
}

impl Zipkin {
    pub(crate) fn new(
        address: &str,
        resource: &Arc<Resource>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, BuildError> {
        let invalid = |problem: &str| BuildError::Address {
            what: "tracing.zipkin.endpointAddress",
            address: address.to_owned(),
            problem: problem.to_owned(),
        };
        let given: Uri = address.parse().map_err(|_| invalid("it is not a URL"))?;
        let (Some(scheme), Some(authority)) = (given.scheme_str(), given.authority()) else {
            return Err(invalid("expected a URL with scheme and host"));
        };
        let port = if scheme == "https" { 443 } else { 80 };
        let (host, port) = connection::host_and_port(authority.as_str(), port)
            .ok_or_else(|| invalid("its host is no host"))?;
        let tls = match scheme {
            "http" => None,
            "https" => Some(connection::tls(provider, None)?),
            _ => return Err(invalid("its scheme is neither http nor https")),
        };
        let server = Server {
            host,
            port,
            tls,
            timeout: TIMEOUT,
        };
        Ok(Self {
            server,
            url: given,
            address: address.to_owned(),
            resource: Arc::clone(resource),
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn export(&self, batch: &[Arc<SpanData>]) -> Result<(), ExportError> {
        let spans: Vec<Value> = batch
            .iter()
            .map(|span| message(span, &self.resource))
            .collect();
        let mut request = Request::new(Full::new(Bytes::from(Value::Array(spans).to_string())));
        *request.method_mut() = Method::POST;
        // The server knows itself by its path.
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().expect("a part of a URL");
        let host = HeaderValue::from_str(&self.server.authority());
        let headers = request.headers_mut();
        headers.insert(HOST, host.expect("an authority of a URL is a header value"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.server.send(request, Version::Http1).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(ExportError::of_status(answer.status, &answer.body))
    }
}

fn message(span: &SpanData, resource: &Resource) -> Value {
    let mut message = json!({
        "traceId": hex_text(&span.context.trace_id),
        "id": hex_text(&span.context.span_id),
        "name": span.name.to_lowercase(),
        "timestamp": micros(span.start.duration_since(UNIX_EPOCH).unwrap_or_default()),
        "localEndpoint": { "serviceName": resource.service_name() },
        "tags": tags(span, resource),
        "kind": match span.kind {
            Kind::Server => "SERVER",
            Kind::Client => "CLIENT",
            Kind::Producer => "PRODUCER",
        },
    });
    if let Some(parent) = span.parent {
        message["parentId"] = hex_text(&parent.span_id).into();
    }
    let lasted = lasted(span.start, span.end);
    if lasted > 0 {
        message["duration"] = lasted.into();
    }
    let peer = PEERS.iter().find_map(|peer| attribute(span, peer));
    if let Some(peer) = peer.filter(|_| span.kind != Kind::Server) {
        message["remoteEndpoint"] = json!({ "serviceName": peer });
    }
    message
}

fn attribute<'a>(span: &'a SpanData, name: &str) -> Option<&'a str> {
    let found = span.attributes.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn tags(span: &SpanData, resource: &Resource) -> Map<String, Value> {
    let own = span
        .attributes
        .iter()
        .map(|(key, value)| (key.to_string(), value.as_str()));
    let of_process = resource
        .attributes()
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str()));
    let mut tags: Map<String, Value> = own
        .chain(of_process)
        .map(|(key, value)| (key, value.into()))
        .collect();
    tags.remove("error");
    if let Some(error) = &span.error {
        tags.insert("otel.status_code".to_owned(), "ERROR".into());
        tags.insert("error".to_owned(), error.as_str().into());
    }
    tags.insert("otel.scope.name".to_owned(), SCOPE.into());
    tags
}

/// Rounded, but no span that took time takes none.
fn lasted(start: SystemTime, end: SystemTime) -> u64 {
    let lasted = end.duration_since(start).unwrap_or_default();
    match micros(lasted) {
        0 if !lasted.is_zero() => 1,
        micros => micros,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from((duration.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)
}
