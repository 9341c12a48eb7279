//! Changes reach applications and streams until they are not wanted any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use trilby_proto::runtime::v1::UnsubscribeConfigurationRequest;
use trilby_testkit::assert_eventually;
use trilby_testkit::servers::redis::Redis;

use super::{Changes, client, daprd, folder, get};

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
