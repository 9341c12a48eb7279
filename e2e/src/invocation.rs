//! One app calls another.

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest, http_extension::Verb};
use trilby_proto::runtime::v1::InvokeServiceRequest;
use trilby_proto::runtime::v1::dapr_client::DaprClient;

use crate::caller::{Caller, Greeting};
use crate::evidence::Evidence;
use crate::forward::Forward;
use crate::handshake::{self, INTERNAL_PORT};
use crate::identities::anchors;
use crate::scene::{Scene, expect};

const GRPC_PORT: u16 = 50001;
const JSON: &str = "application/json";

/// Calls `greeter` from `caller`: through the app itself, through its sidecar's HTTP API and through its gRPC API; then
/// tries to reach `greeter`'s sidecar without an identity.
///
/// # Errors
/// If a call fails, or one that must fail does not.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let mut evidence = Evidence::default();
    let caller = Caller::of(scene).await?;
    let by_app = caller.greet("Ada").await.context("the app's call")?;
    evidence.add(described("app caller, HTTP", &by_app, "Ada")?);

    let path = "/v1.0/invoke/greeter/method/hello";
    let answer = caller.post_to_sidecar(path, r#"{"name":"Grace"}"#).await?;
    let by_http: Greeting = serde_json::from_slice(&answer.success()?.body)?;
    evidence.add(described(&format!("POST {path}"), &by_http, "Grace")?);

    let by_grpc = invoke(scene).await.context("InvokeService")?;
    evidence.add(described("gRPC InvokeService", &by_grpc, "Edsger")?);
    evidence.add(strangers_are_refused(scene).await?);
    Ok(evidence)
}

/// `greeter` says who called: its sidecar reads that in the caller's certificate.
fn described(way: &str, answer: &Greeting, name: &str) -> Result<String> {
    let right = answer.greeting == format!("Hello, {name}!");
    let known = answer.called_by.as_deref() == Some("caller");
    expect(
        right && known && answer.served_by.starts_with("greeter-"),
        || format!("{way} was answered {answer:?}"),
    )?;
    Ok(format!(
        "{way}: {:?} from {}, to whom the caller is known as caller",
        answer.greeting, answer.served_by
    ))
}

async fn invoke(scene: &Scene) -> Result<Greeting> {
    let pod = scene.pod("caller").await?.name;
    let forward = scene.forward(&pod, GRPC_PORT).await?;
    let request = InvokeServiceRequest {
        id: "greeter".to_owned(),
        message: Some(InvokeRequest {
            method: "hello".to_owned(),
            data: Some(prost_types::Any {
                type_url: String::new(),
                value: br#"{"name":"Edsger"}"#.to_vec(),
            }),
            content_type: JSON.to_owned(),
            http_extension: Some(HttpExtension {
                verb: Verb::Post.into(),
                querystring: String::new(),
            }),
        }),
    };
    let mut client = DaprClient::new(channel(forward).await?);
    let answer = client.invoke_service(request).await?.into_inner();
    let data = answer.data.context("the answer has no data")?;
    Ok(serde_json::from_slice(&data.value)?)
}

async fn channel(forward: Forward) -> Result<Channel> {
    let forward = std::sync::Arc::new(forward);
    let connector = service_fn(move |_uri| {
        let forward = forward.clone();
        async move {
            let stream = forward.connect().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // The connector knows the way; the name is only for the requests' authority.
    let endpoint = Endpoint::from_static("http://sidecar");
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Each attempt takes a way of its own: a connection that is reset closes it.
async fn strangers_are_refused(scene: &Scene) -> Result<String> {
    let pod = scene.pod("greeter").await?.name;
    let forward = scene.forward(&pod, INTERNAL_PORT).await?;
    handshake::refuses_plaintext(&forward).await?;
    let forward = scene.forward(&pod, INTERNAL_PORT).await?;
    let presented = handshake::ask(&forward, &anchors(scene).await?).await?;
    Ok(format!(
        "{pod}, port {INTERNAL_PORT}: without TLS it hangs up; without a certificate it says {:?}",
        presented.refusal
    ))
}
