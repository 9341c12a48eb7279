//! An application that speaks gRPC: `OnInvoke`, and a service that its sidecar does not know.

use std::net::SocketAddr;

use prost_types::Any;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_grpc::ServeConfig;
use trilby_proto::common::v1::{InvokeRequest, InvokeResponse};
use trilby_proto::runtime::v1::app_callback_health_check_server::{
    AppCallbackHealthCheck, AppCallbackHealthCheckServer,
};
use trilby_proto::runtime::v1::app_callback_server::{AppCallback, AppCallbackServer};
use trilby_proto::runtime::v1::{
    BindingEventRequest, BindingEventResponse, HealthCheckResponse, JobEventRequest,
    JobEventResponse, ListInputBindingsResponse, ListTopicSubscriptionsResponse,
    TopicEventBulkRequest, TopicEventBulkResponse, TopicEventRequest, TopicEventResponse,
};

/// Serves until the test ends.
pub(crate) async fn start() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = tonic::service::Routes::new(AppCallbackServer::new(App))
        .add_service(AppCallbackHealthCheckServer::new(App))
        .prepare();
    tokio::spawn(trilby_grpc::serve(
        listener,
        None,
        routes,
        (ServeConfig::new("app"), CancellationToken::new()),
    ));
    address
}

struct App;

/// It asks the bindings that an event names.
fn answer_to(event: BindingEventRequest) -> BindingEventResponse {
    let to = event.metadata.get("to").into_iter();
    BindingEventResponse {
        to: to.flat_map(|to| to.split(',')).map(str::to_owned).collect(),
        data: event.data,
        ..Default::default()
    }
}

fn text(request: &tonic::metadata::MetadataMap, name: &str) -> String {
    request
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// What the call carried of its trace, as JSON.
fn context(metadata: &http::HeaderMap) -> InvokeResponse {
    let seen = ["traceparent", "grpc-trace-bin", "baggage"].map(|name| {
        let value = metadata.get(name).map(|value| value.to_str().unwrap());
        (name.to_owned(), serde_json::Value::from(value))
    });
    let seen: serde_json::Map<_, _> = seen.into_iter().collect();
    InvokeResponse {
        data: Some(Any {
            type_url: String::new(),
            value: serde_json::Value::Object(seen).to_string().into_bytes(),
        }),
        content_type: "application/json".to_owned(),
    }
}

#[tonic::async_trait]
impl AppCallback for App {
    async fn on_invoke(
        &self,
        request: Request<InvokeRequest>,
    ) -> Result<Response<InvokeResponse>, Status> {
        let caller = text(request.metadata(), "dapr-caller-app-id");
        let metadata = request.metadata().clone().into_headers();
        let message = request.into_inner();
        if message.method == "context" {
            return Ok(Response::new(context(&metadata)));
        }
        if message.method == "refuse" {
            return Err(Status::already_exists("here already"));
        }
        let data = String::from_utf8(message.data.unwrap_or_default().value).unwrap();
        let value = format!("{caller} called {} with {data}", message.method).into_bytes();
        let mut response = Response::new(InvokeResponse {
            data: Some(Any {
                type_url: String::new(),
                value,
            }),
            content_type: "text/plain".to_owned(),
        });
        response
            .metadata_mut()
            .insert("x-app", "yes".parse().unwrap());
        Ok(response)
    }

    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn on_topic_event(
        &self,
        _: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_input_bindings(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListInputBindingsResponse>, Status> {
        Ok(Response::new(ListInputBindingsResponse {
            bindings: vec!["listed".to_owned()],
        }))
    }

    async fn on_binding_event(
        &self,
        request: Request<BindingEventRequest>,
    ) -> Result<Response<BindingEventResponse>, Status> {
        Ok(Response::new(answer_to(request.into_inner())))
    }

    async fn on_bulk_topic_event(
        &self,
        _: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn on_job_event(
        &self,
        _: Request<JobEventRequest>,
    ) -> Result<Response<JobEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Stands for a service of the application's own. Its answer says who called.
#[tonic::async_trait]
impl AppCallbackHealthCheck for App {
    async fn health_check(
        &self,
        request: Request<()>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let metadata = request.metadata();
        if metadata.contains_key("x-fail") {
            return Err(Status::data_loss("lost"));
        }
        let mut response = Response::new(HealthCheckResponse {});
        for name in [
            "dapr-caller-app-id",
            "dapr-caller-namespace",
            "dapr-callee-app-id",
            "dapr-api-token",
            "x-custom",
        ] {
            let value = text(metadata, name);
            response.metadata_mut().insert(name, value.parse().unwrap());
        }
        Ok(response)
    }
}
