//! Service invocation over gRPC: by message, and by passing calls on as they are.

use std::net::SocketAddr;

use http::StatusCode;
use prost_types::Any;
use tonic::{Code, Request, Status};
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest};
use trilby_proto::runtime::v1::InvokeServiceRequest;
use trilby_proto::runtime::v1::app_callback_health_check_client::AppCallbackHealthCheckClient;
use trilby_proto::runtime::v1::dapr_client::DaprClient;

use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};
use crate::{app, grpc_app};

pub(crate) fn channel(address: SocketAddr) -> Channel {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap()
}

/// `a` has no application; `web` speaks HTTP, `rpc` speaks gRPC.
async fn mesh() -> (Sidecar, Vec<Sidecar>) {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let web = Settings::new("web").app(app::start().await).sentry(&sentry);
    let rpc = Settings::new("rpc")
        .app(grpc_app::start().await)
        .sentry(&sentry)
        .flags(&["--app-protocol=grpc"]);
    let rpc = rpc.environment(|environment| environment.app_token = "app-token".to_owned());
    let others = vec![
        Sidecar::start(web, &directory).await,
        Sidecar::start(rpc, &directory).await,
    ];
    (
        Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await,
        others,
    )
}

fn call(id: &str, method: &str) -> InvokeServiceRequest {
    InvokeServiceRequest {
        id: id.to_owned(),
        message: Some(InvokeRequest {
            method: method.to_owned(),
            data: Some(Any {
                type_url: String::new(),
                value: b"hello".to_vec(),
            }),
            content_type: "text/plain".to_owned(),
            http_extension: Some(HttpExtension {
                verb: Verb::Post as i32,
                querystring: "q=1".to_owned(),
            }),
        }),
    }
}

#[tokio::test]
async fn message_reaches_an_application_that_speaks_grpc() {
    let (a, _others) = mesh().await;
    let mut dapr = DaprClient::new(channel(a.grpc));
    let response = dapr.invoke_service(call("rpc", "greet")).await.unwrap();
    assert_eq!(response.metadata().get("x-app").unwrap(), "yes");
    let message = response.into_inner();
    assert_eq!(message.data.unwrap().value, b"a called greet with hello");
    assert_eq!(message.content_type, "text/plain");
    let status = dapr
        .invoke_service(call("rpc", "refuse"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::AlreadyExists, "here already")
    );
}

#[tokio::test]
async fn message_reaches_an_application_that_speaks_http() {
    let (a, _others) = mesh().await;
    let mut dapr = DaprClient::new(channel(a.grpc));
    let response = dapr.invoke_service(call("web", "orders")).await.unwrap();
    assert_eq!(response.metadata().get("dapr-http-status").unwrap(), "200");
    let seen: serde_json::Value =
        serde_json::from_slice(&response.into_inner().data.unwrap().value).unwrap();
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["query"]),
        (&"POST".into(), &"/orders".into(), &"q=1".into())
    );
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["headers"]["content-length"][0], "5", "not in chunks");
    let status = dapr
        .invoke_service(call("web", "status/404"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "Not Found")
    );
    assert_eq!(status.metadata().get("dapr-http-status").unwrap(), "404");
}

#[tokio::test]
async fn http_caller_reaches_an_application_that_speaks_grpc() {
    let (a, _others) = mesh().await;
    let response = a.post("/v1.0/invoke/rpc/method/greet", "hi").await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.text(), "a called greet with hi");
    let refused = a.post("/v1.0/invoke/rpc/method/refuse", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(
        refused.json(),
        serde_json::json!({ "code": 6, "message": "here already" })
    );
}

async fn foreign(
    a: &Sidecar,
    metadata: &[(&'static str, &'static str)],
) -> Result<tonic::metadata::MetadataMap, Status> {
    let mut request = Request::new(());
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let response = AppCallbackHealthCheckClient::new(channel(a.grpc))
        .health_check(request)
        .await?;
    Ok(response.metadata().clone())
}

#[tokio::test]
async fn unknown_service_is_passed_on_with_proven_identities() {
    let (a, _others) = mesh().await;
    let forged = [
        ("dapr-app-id", "rpc"),
        ("x-custom", "1"),
        ("dapr-caller-app-id", "forged"),
    ];
    let seen = foreign(&a, &forged).await.unwrap();
    assert_eq!(seen.get("dapr-caller-app-id").unwrap(), "a");
    assert_eq!(seen.get("dapr-caller-namespace").unwrap(), "default");
    assert_eq!(seen.get("dapr-callee-app-id").unwrap(), "rpc");
    assert_eq!(seen.get("dapr-api-token").unwrap(), "app-token");
    assert_eq!(seen.get("x-custom").unwrap(), "1");
    let lost = foreign(&a, &[("dapr-app-id", "rpc"), ("x-fail", "1")])
        .await
        .unwrap_err();
    assert_eq!((lost.code(), lost.message()), (Code::DataLoss, "lost"));
}

#[tokio::test]
async fn unknown_service_that_cannot_be_passed_on_says_why() {
    let (a, _others) = mesh().await;
    let nowhere = foreign(&a, &[]).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::Unknown);
    assert_eq!(
        nowhere.message(),
        "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found"
    );
    let http_app = foreign(&a, &[("dapr-app-id", "web")]).await.unwrap_err();
    assert!(
        http_app.message().contains("does not speak gRPC"),
        "{http_app}"
    );
    let unknown = foreign(&a, &[("dapr-app-id", "nobody")]).await.unwrap_err();
    assert!(
        unknown.message().contains("no sidecar of nobody.default"),
        "{unknown}"
    );
}

#[tokio::test]
async fn what_is_not_there_yet_is_named() {
    let (a, _others) = mesh().await;
    let request = trilby_proto::runtime::v1::GetJobRequest::default();
    let status = DaprClient::new(channel(a.grpc))
        .get_job(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("the jobs API"), "{status}");
    let response = a.post("/v1.0/jobs/j", "{}").await;
    assert_eq!(response.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(response.json()["errorCode"], "ERR_API_UNIMPLEMENTED");
}
