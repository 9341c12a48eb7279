//! The configuration API of the real binary, on real stores, over both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod reads;
mod reload;
mod subscriptions;

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Channel;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{SubscribeConfigurationRequest, SubscribeConfigurationResponse};
use trilby_testkit::http::{Client, Response};
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;

/// Longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with one component, `config`, on this server.
fn folder(redis: &Redis) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), redis);
    folder
}

fn write(folder: &Path, redis: &Redis) {
    component(
        folder,
        "redis",
        &[("redisHost", &redis.address().to_string())],
    );
}

/// Replaces the component whole, so that no half of it is read.
fn component(folder: &Path, kind: &str, settings: &[(&str, &str)]) {
    let settings = settings.iter();
    let settings =
        settings.map(|(name, value)| format!("  - name: {name}\n    value: '{value}'\n"));
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: config\nspec:\n  type: configuration.{kind}\n  \
         version: v1\n  metadata:\n{}",
        settings.collect::<String>()
    );
    let new = folder.join("component.new");
    std::fs::write(&new, component).unwrap();
    std::fs::rename(new, folder.join("component.yaml")).unwrap();
}

fn daprd(folder: &tempfile::TempDir) -> Daprd {
    Daprd::new("shop").arg("--resources-path", folder.path().display())
}

async fn get(daprd: &Daprd, path: &str) -> Response {
    Client::host().get(&daprd.url(path)).await.unwrap()
}

async fn client(daprd: &Daprd) -> DaprClient<Channel> {
    let address = format!("http://{}", daprd.grpc_address());
    DaprClient::connect(address).await.unwrap()
}

/// Changes over gRPC.
struct Changes {
    id: String,
    stream: Streaming<SubscribeConfigurationResponse>,
}

impl Changes {
    async fn of(client: &mut DaprClient<Channel>, keys: &[&str]) -> Self {
        let request = SubscribeConfigurationRequest {
            store_name: "config".into(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..Default::default()
        };
        let answer = client.subscribe_configuration(request).await.unwrap();
        let mut changes = Self {
            id: String::new(),
            stream: answer.into_inner(),
        };
        let first = changes.next().await.unwrap();
        assert!(!first.id.is_empty() && first.items.is_empty(), "{first:?}");
        changes.id = first.id;
        changes
    }

    async fn next(&mut self) -> Option<SubscribeConfigurationResponse> {
        let message = timeout(PATIENCE, self.stream.message()).await;
        message.expect("a message in time").unwrap()
    }

    async fn until(&mut self, key: &str, value: &str) -> SubscribeConfigurationResponse {
        loop {
            let message = self.next().await.expect("the stream goes on");
            assert_eq!(message.id, self.id);
            if message
                .items
                .get(key)
                .is_some_and(|item| item.value == value)
            {
                return message;
            }
        }
    }
}
