//! A collector of OpenTelemetry that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_grpc::ServeConfig;
use trilby_proto::opentelemetry::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use trilby_proto::opentelemetry::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use trilby_proto::opentelemetry::common::v1::KeyValue;
use trilby_proto::opentelemetry::common::v1::any_value::Value;
use trilby_proto::opentelemetry::trace::v1::Span;
use trilby_testkit::assert_eventually;

/// Serves until the test ends.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    taken: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&taken)));
        let routes = tonic::service::Routes::new(service).prepare();
        let config = (ServeConfig::new("collector"), CancellationToken::new());
        tokio::spawn(trilby_grpc::serve(listener, None, routes, config));
        Self { address, taken }
    }

    /// The span called `name` of the application `service`, once it is there.
    pub(crate) async fn span(&self, service: &str, name: &str) -> Span {
        let find = || {
            let taken = self.taken.lock();
            let mut spans = taken.iter();
            let found = spans.find(|(of, span)| of == service && span.name == name);
            found.map(|(_, span)| span.clone())
        };
        assert_eventually!(find().is_some());
        find().unwrap()
    }

    /// How many spans there are so far.
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().len()
    }
}

/// An attribute of a span; empty if it has none of that name.
pub(crate) fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> &'a str {
    let found = attributes.iter().find(|pair| pair.key == name);
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

struct Service(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for spans in request.into_inner().resource_spans {
            let resource = spans.resource.unwrap_or_default();
            let service = attribute(&resource.attributes, "service.name");
            let spans = spans.scope_spans.into_iter().flat_map(|spans| spans.spans);
            let spans = spans.map(|span| (service.to_owned(), span));
            self.0.lock().extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
