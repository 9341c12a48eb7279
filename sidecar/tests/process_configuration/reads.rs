//! Items are read, and what cannot be done says why.

use http::StatusCode;
use serde_json::json;
use tonic::Code;
use trilby_proto::runtime::v1::{
    GetConfigurationRequest, SubscribeConfigurationRequest, UnsubscribeConfigurationRequest,
};
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;

use super::{client, daprd, folder, get};

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
