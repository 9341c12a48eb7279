//! Publishing and subscribing through the real binary, over both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod app;
mod delivery;
mod publish;
mod reload;
mod streaming;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tonic::transport::Channel;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

/// Longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with the broker `bus`, in memory.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    broker(folder.path(), &[]);
    folder
}

fn broker(folder: &Path, settings: &[(&str, &str)]) {
    let settings = settings.iter();
    let settings =
        settings.map(|(name, value)| format!("  - name: {name}\n    value: '{value}'\n"));
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: bus\nspec:\n  type: pubsub.in-memory\n  \
         version: v1\n  metadata:\n{}",
        settings.collect::<String>()
    );
    resource(folder, "bus", &component);
}

/// A subscription to a topic of `bus`, with further lines of its spec.
fn subscription(folder: &Path, topic: &str, spec: &str) {
    let resource_text = format!(
        "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata:\n  name: {topic}\nspec:\n  pubsubname: bus\n  \
         topic: {topic}\n{spec}"
    );
    resource(folder, &format!("subscription-{topic}"), &resource_text);
}

/// Replaces a resource whole, so that no half of it is read.
fn resource(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(format!("{name}.yaml"))).unwrap();
}

fn daprd(folder: &tempfile::TempDir) -> Daprd {
    Daprd::new("shop").arg("--resources-path", folder.path().display())
}

async fn publish(daprd: &Daprd, path: &str, (content_type, body): (&str, &str)) -> Response {
    let request = http::Request::post(daprd.url(&format!("/v1.0/publish/{path}")))
        .header("content-type", content_type)
        .body(bytes::Bytes::from(body.to_owned()))
        .unwrap();
    Client::host().request(request).await.unwrap()
}

async fn publish_json(daprd: &Daprd, path: &str, body: &Value) {
    let answer = publish(daprd, path, ("application/json", &body.to_string())).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

async fn client(daprd: &Daprd) -> DaprClient<Channel> {
    let address = format!("http://{}", daprd.grpc_address());
    DaprClient::connect(address).await.unwrap()
}
