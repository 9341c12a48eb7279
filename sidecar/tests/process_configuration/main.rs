//! The configuration API of the real binary, on real stores, over both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{
    GetConfigurationRequest, SubscribeConfigurationRequest, SubscribeConfigurationResponse,
    UnsubscribeConfigurationRequest,
};
use trilby_testkit::assert_eventually;
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

/// Replaces the component whole, so that no half of it is read.
fn write(folder: &Path, redis: &Redis) {
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: config\nspec:\n  type: configuration.redis\n  \
         version: v1\n  metadata:\n  - name: redisHost\n    value: {}\n",
        redis.address()
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

/// An application that keeps what it is told, and refuses the first calls.
#[derive(Clone, Default)]
struct App {
    told: Arc<Mutex<Vec<(String, Value)>>>,
    refusals: Arc<AtomicUsize>,
}

impl App {
    async fn serve(&self) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = self.clone();
        let router = axum::Router::new()
            .fallback(async move |uri: http::Uri, body: bytes::Bytes| app.take(uri.path(), &body));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        port
    }

    fn take(&self, path: &str, body: &[u8]) -> StatusCode {
        if !path.starts_with("/configuration/") {
            return StatusCode::NOT_FOUND;
        }
        let fewer = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.refusals.fetch_update(order, order, fewer).is_ok() {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let body = serde_json::from_slice(body).unwrap();
        self.told.lock().push((path.to_owned(), body));
        StatusCode::OK
    }

    fn was_told(&self, path: &str, body: &Value) -> bool {
        let told = self.told.lock();
        told.iter().any(|(at, what)| at == path && what == body)
    }
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

#[tokio::test]
async fn items_are_read_over_both_protocols() {
    let redis = Redis::start().await;
    redis.command(&["MSET", "a", "x||1", "b", "y||z||2", "c", "plain"]);
    let folder = folder(&redis);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let (a, b) = (
        json!({"value":"x","version":"1"}),
        json!({"value":"y||z","version":"2"}),
    );
    for version in ["v1.0", "v1.0-alpha1"] {
        let read = get(
            &daprd,
            &format!("/{version}/configuration/config?key=a&key=b&key=absent"),
        )
        .await;
        assert_eq!(
            (read.status, read.json()),
            (StatusCode::OK, json!({"a": a, "b": b}))
        );
        assert_eq!(read.headers["content-type"], "application/json");
    }
    let all = get(&daprd, "/v1.0/configuration/config").await.json();
    assert_eq!(all, json!({"a": a, "b": b, "c": {"value":"plain"}}));
    let none = get(&daprd, "/v1.0/configuration/config?key=absent").await;
    assert_eq!(
        (none.status, none.text().as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let mut client = client(&daprd).await;
    let request = GetConfigurationRequest {
        store_name: "config".into(),
        keys: vec!["b".into(), "absent".into()],
        ..Default::default()
    };
    let stable = client.get_configuration(request.clone()).await.unwrap();
    let alpha = client.get_configuration_alpha1(request).await.unwrap();
    for answer in [stable, alpha] {
        let items = answer.into_inner().items;
        assert_eq!(items.len(), 1);
        assert_eq!(
            (items["b"].value.as_str(), items["b"].version.as_str()),
            ("y||z", "2")
        );
    }
    let metrics = daprd.metrics().await;
    let counted = "dapr_component_configuration_count{app_id=\"shop\",component=\"config\",namespace=\"default\",operation=\"get\",success=\"true\"}";
    assert!(metrics.contains(counted), "{metrics}");
}

/// Status, code and message of a refusal over HTTP.
async fn refused(daprd: &Daprd, path: &str) -> (u16, String, String) {
    let answer = get(daprd, path).await;
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("errorCode"), text("message"))
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String, String) {
    (status, code.to_owned(), message.to_owned())
}

#[tokio::test]
async fn what_cannot_be_done_over_http_says_why() {
    let mut redis = Redis::start().await;
    let folder = folder(&redis);
    let (mut without, mut with) = (Daprd::new("none"), daprd(&folder));
    tokio::join!(without.start(), with.start());
    let code = "ERR_CONFIGURATION_STORE_NOT_CONFIGURED";
    let none = refusal(500, code, "configuration stores not configured");
    for path in ["any", "any/subscribe", "any/1/unsubscribe"] {
        let path = format!("/v1.0/configuration/{path}");
        assert_eq!(refused(&without, &path).await, none, "{path}");
    }
    let text = "configuration store other not found";
    let not_found = refusal(400, "ERR_CONFIGURATION_STORE_NOT_FOUND", text);
    assert_eq!(refused(&with, "/v1.0/configuration/other").await, not_found);
    let text = "app channel is not initialized. cannot subscribe to configuration updates";
    let no_app = refusal(500, "ERR_APP_CHANNEL_NIL", text);
    let subscribing = "/v1.0/configuration/config/subscribe?key=a";
    assert_eq!(refused(&with, subscribing).await, no_app);
    let unknown = get(&with, "/v1.0/configuration/config/17/unsubscribe").await;
    let text =
        "failed to unsubscribe to configuration request 17: subscription with id 17 does not exist";
    let expected = (500, json!({ "message": text }));
    assert_eq!((unknown.status.as_u16(), unknown.json()), expected);
    redis.stop().await;
    let (status, code, message) = refused(&with, "/v1.0/configuration/config?key=a&key=b").await;
    assert_eq!((status, code.as_str()), (500, "ERR_CONFIGURATION_GET"));
    let text = "failed to get [a b] from Configuration store config: redis store: error connecting";
    assert!(message.starts_with(text), "{message}");
}

#[tokio::test]
async fn what_cannot_be_done_over_grpc_says_why() {
    let mut redis = Redis::start().await;
    let folder = folder(&redis);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut client = client(&daprd).await;
    let request = |store: &str| GetConfigurationRequest {
        store_name: store.into(),
        keys: vec!["a".into(), "b".into()],
        ..Default::default()
    };
    let unknown = client.get_configuration(request("other")).await;
    let status = unknown.unwrap_err();
    let expected = (Code::InvalidArgument, "configuration store other not found");
    assert_eq!((status.code(), status.message()), expected);
    let unknown = UnsubscribeConfigurationRequest {
        id: "17".into(),
        ..Default::default()
    };
    let answer = client.unsubscribe_configuration(unknown).await.unwrap();
    let answer = answer.into_inner();
    let text = "failed to unsubscribe to configuration request 17: subscription does not exist";
    assert_eq!((answer.ok, answer.message.as_str()), (false, text));
    redis.stop().await;
    let told = |status: &tonic::Status, code, text| {
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().starts_with(text), "{status:?}");
    };
    let read = client.get_configuration(request("config")).await;
    let text = "failed to get [a b] from Configuration store config: redis store: error connecting";
    told(&read.unwrap_err(), Code::Internal, text);
    let subscribe = SubscribeConfigurationRequest {
        store_name: "config".into(),
        keys: vec!["b".into(), "a".into()],
        ..Default::default()
    };
    let subscribed = client.subscribe_configuration(subscribe).await;
    let text = "failed to subscribe [a b] from Configuration store config: ";
    told(&subscribed.unwrap_err(), Code::InvalidArgument, text);
}

#[tokio::test]
async fn an_application_is_called_at_each_change() {
    let redis = Redis::start().await;
    let folder = folder(&redis);
    let resiliency = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: r\nspec:\n  policies:\n    \
                      retries:\n      again:\n        policy: constant\n        duration: 10ms\n        maxRetries: 5\n  \
                      targets:\n    components:\n      config:\n        inbound:\n          retry: again\n";
    std::fs::write(folder.path().join("resiliency.yaml"), resiliency).unwrap();
    let app = App::default();
    let mut daprd = daprd(&folder).app_port(app.serve().await);
    daprd.start().await;
    let subscribe = async |query: &str| {
        let answer = get(
            &daprd,
            &format!("/v1.0/configuration/config/subscribe{query}"),
        )
        .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let (some, all) = (subscribe("?key=a&key=b").await, subscribe("").await);
    app.refusals.store(3, Ordering::SeqCst);
    redis.command(&["SET", "a", "x||1"]);
    let told = |id: &str, items: &Value| json!({ "id": id, "items": items });
    let items = json!({"a": {"value":"x","version":"1"}});
    assert_eventually!(
        [&some, &all]
            .iter()
            .all(|id| app.was_told("/configuration/config/a", &told(id, &items)))
    );
    let ended = get(
        &daprd,
        &format!("/v1.0/configuration/config/{some}/unsubscribe"),
    )
    .await;
    assert_eq!(
        (ended.status, ended.json()),
        (StatusCode::OK, json!({ "ok": true }))
    );
    redis.command(&["DEL", "a"]);
    assert_eventually!(app.was_told("/configuration/config/a", &told(&all, &json!({"a": {}}))));
    assert_eventually!(
        redis
            .command(&["PUBSUB", "NUMSUB", "__keyspace@0__:a"])
            .ends_with('0')
    );
    assert!(!app.was_told("/configuration/config/a", &told(&some, &json!({"a": {}}))));
    let again = get(
        &daprd,
        &format!("/v1.0/configuration/config/{some}/unsubscribe"),
    )
    .await;
    assert_eq!(again.status, StatusCode::INTERNAL_SERVER_ERROR);
    // What is subscribed does not hold up the end.
    assert!(daprd.stop().await.success());
    assert!(!daprd.log().text().contains("Graceful shutdown timeout"));
}

#[tokio::test]
async fn a_stream_tells_changes_until_it_is_ended() {
    let redis = Redis::start().await;
    let folder = folder(&redis);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut client = client(&daprd).await;
    let (mut first, mut second) = (
        Changes::of(&mut client, &["a"]).await,
        Changes::of(&mut client, &["a", "b"]).await,
    );
    redis.command(&["SET", "a", "x||1"]);
    let message = first.until("a", "x").await;
    assert_eq!(
        (message.items.len(), message.items["a"].version.as_str()),
        (1, "1")
    );
    second.until("a", "x").await;
    let id = first.id.clone();
    let request = UnsubscribeConfigurationRequest {
        id,
        ..Default::default()
    };
    let answer = client
        .unsubscribe_configuration_alpha1(request.clone())
        .await
        .unwrap();
    assert!(answer.into_inner().ok);
    assert_eq!(first.next().await, None);
    assert!(
        !client
            .unsubscribe_configuration(request)
            .await
            .unwrap()
            .into_inner()
            .ok
    );
    redis.command(&["SET", "b", "y"]);
    second.until("b", "y").await;
    // Who goes away is unsubscribed.
    drop(second);
    assert_eventually!(
        redis
            .command(&["PUBSUB", "NUMSUB", "__keyspace@0__:b"])
            .ends_with('0')
    );
    // Who stays does not hold up the end.
    let mut third = Changes::of(&mut client, &[]).await;
    let (stopped, last) = tokio::join!(daprd.stop(), third.next());
    assert_eq!((stopped.success(), last), (true, None));
    assert!(!daprd.log().text().contains("Graceful shutdown timeout"));
}

#[tokio::test]
async fn a_subscription_outlives_the_server_and_the_component() {
    let (mut old, new) = (Redis::start().await, Redis::start().await);
    old.command(&["MSET", "a", "1", "b", "same"]);
    new.command(&["MSET", "a", "3", "b", "same"]);
    let folder = folder(&old);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut client = client(&daprd).await;
    let mut changes = Changes::of(&mut client, &["a", "b"]).await;
    // Changed when the server is back and nobody listens yet, or hears it: either way it is told.
    old.stop().await;
    old.resume().await;
    old.command(&["SET", "a", "2"]);
    changes.until("a", "2").await;
    // The component that replaces it knows another value of one key, which alone is told.
    write(folder.path(), &new);
    let message = changes.until("a", "3").await;
    assert_eq!(message.items.len(), 1);
    new.command(&["SET", "b", "later"]);
    let message = changes.next().await.unwrap();
    assert_eq!(message.items["b"].value, "later");
    assert_eventually!(
        old.command(&["PUBSUB", "NUMSUB", "__keyspace@0__:a"])
            .ends_with('0')
    );
    std::fs::remove_file(folder.path().join("component.yaml")).unwrap();
    assert_eq!(changes.next().await, None);
}
