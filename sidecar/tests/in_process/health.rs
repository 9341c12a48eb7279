//! Health over gRPC.

use http::Request;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::client::GrpcService as _;
use trilby_grpc::{Channel, ChannelConfig, Target};

use crate::sidecar::{Directory, Settings, Sidecar};

fn channel(port: u16) -> Channel {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port,
    };
    trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap()
}

/// Asks one server about one service: the status of the call, and what it says.
async fn check(port: u16, service: &str, headers: &[(&str, &str)]) -> (String, Option<u8>) {
    let name = u8::try_from(service.len()).unwrap();
    let message = if service.is_empty() {
        Vec::new()
    } else {
        [&[0x0a, name], service.as_bytes()].concat()
    };
    let length = u8::try_from(message.len()).unwrap();
    let body = [&[0, 0, 0, 0, length], message.as_slice()].concat();
    let mut request = Request::post("/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::from(body))).unwrap();
    let response = channel(port).call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = head
        .headers
        .get("grpc-status")
        .or(trailers.get("grpc-status"));
    let status = status.unwrap().to_str().unwrap().to_owned();
    (status, body.to_bytes().last().copied())
}

#[tokio::test]
async fn both_grpc_servers_tell_probes_whether_the_sidecar_is_ready() {
    let settings =
        Settings::new("a").environment(|environment| environment.api_token = "secret".to_owned());
    let a = Sidecar::start(settings, &Directory::default()).await;
    let (api, internal) = (a.grpc.port(), a.internal.port());
    for (port, service) in [
        (api, ""),
        (api, "dapr.proto.runtime.v1.Dapr"),
        (internal, ""),
        (internal, "dapr.proto.internals.v1.ServiceInvocation"),
    ] {
        let answer = check(port, service, &[]).await;
        assert_eq!(answer, ("0".to_owned(), Some(1)), "{service:?}");
    }
    assert_eq!(check(api, "other", &[]).await.0, "5");
}

#[tokio::test]
async fn sidecar_that_waits_for_its_app_is_not_serving() {
    let away = "127.0.0.1:1".parse().unwrap();
    let a = Sidecar::launch(Settings::new("a").app(away), &Directory::default()).await;
    assert_eq!(
        check(a.grpc.port(), "", &[]).await,
        ("0".to_owned(), Some(2))
    );
}

#[tokio::test]
async fn call_that_names_an_application_is_about_that_application() {
    let a = Sidecar::start(Settings::new("a"), &Directory::default()).await;
    let (status, _) = check(a.grpc.port(), "", &[("dapr-app-id", "other")]).await;
    assert_ne!(status, "0", "there is no application of that name");
}
