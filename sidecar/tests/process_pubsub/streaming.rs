//! Subscriptions over a stream.

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use trilby_proto::runtime::v1::subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as Asked;
use trilby_proto::runtime::v1::subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as Told;
use trilby_proto::runtime::v1::{
    SubscribeTopicEventsRequestAlpha1, SubscribeTopicEventsRequestInitialAlpha1,
    SubscribeTopicEventsRequestProcessedAlpha1, SubscribeTopicEventsResponseAlpha1,
    TopicEventRequest, TopicEventResponse,
};
use trilby_testkit::services::Daprd;

use super::{PATIENCE, broker, client, daprd, folder, publish_json};

struct Subscribed {
    says: mpsc::Sender<SubscribeTopicEventsRequestAlpha1>,
    hears: Streaming<SubscribeTopicEventsResponseAlpha1>,
}

fn message(what: Asked) -> SubscribeTopicEventsRequestAlpha1 {
    SubscribeTopicEventsRequestAlpha1 {
        subscribe_topic_events_request_type: Some(what),
    }
}

fn initial(pubsub: &str, topic: &str) -> SubscribeTopicEventsRequestAlpha1 {
    message(Asked::InitialRequest(
        SubscribeTopicEventsRequestInitialAlpha1 {
            pubsub_name: pubsub.to_owned(),
            topic: topic.to_owned(),
            dead_letter_topic: Some("dead".to_owned()),
            ..Default::default()
        },
    ))
}

async fn begin(
    daprd: &Daprd,
    first: SubscribeTopicEventsRequestAlpha1,
) -> Result<Subscribed, Status> {
    let (says, messages) = mpsc::channel(16);
    says.send(first).await.unwrap();
    let mut client = client(daprd).await;
    let asked = client.subscribe_topic_events_alpha1(ReceiverStream::new(messages));
    let mut hears = asked.await?.into_inner();
    let begun = timeout(PATIENCE, hears.message()).await.unwrap()?.unwrap();
    assert!(matches!(
        begun.subscribe_topic_events_response_type,
        Some(Told::InitialResponse(_))
    ));
    Ok(Subscribed { says, hears })
}

impl Subscribed {
    async fn next(&mut self) -> TopicEventRequest {
        let heard = timeout(PATIENCE, self.hears.message()).await.unwrap();
        match heard.unwrap().unwrap().subscribe_topic_events_response_type {
            Some(Told::EventMessage(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, id: &str, status: i32) {
        let processed = SubscribeTopicEventsRequestProcessedAlpha1 {
            id: id.to_owned(),
            status: Some(TopicEventResponse { status }),
        };
        let said = self.says.send(message(Asked::EventProcessed(processed)));
        said.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_gets_messages_answers_them_and_outlives_its_component() {
    let folder = folder();
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let mut orders = begin(&daprd, initial("bus", "orders")).await.unwrap();
    let mut dead = begin(&daprd, initial("bus", "dead")).await.unwrap();
    publish_json(&daprd, "bus/orders", &json!({"a": 1})).await;
    let event = orders.next().await;
    assert_eq!(
        (event.topic.as_str(), event.pubsub_name.as_str()),
        ("orders", "bus")
    );
    assert_eq!(
        (event.path.as_str(), event.data.as_ref()),
        ("/", &br#"{"a":1}"#[..])
    );
    orders.answer(&event.id, 0).await;
    publish_json(&daprd, "bus/orders", &json!("unwanted")).await;
    let event = orders.next().await;
    orders.answer(&event.id, 2).await;
    let event = dead.next().await;
    assert_eq!(event.data.as_ref(), br#""unwanted""#);
    dead.answer(&event.id, 0).await;
    broker(folder.path(), &[("allowedTopics", "orders,dead")]);
    trilby_testkit::assert_eventually!(
        daprd.log().text().matches("Component loaded: bus").count() == 2
            && daprd
                .log()
                .text()
                .matches("subscribed to topic orders")
                .count()
                == 2
    );
    publish_json(&daprd, "bus/orders", &json!("later")).await;
    assert_eq!(orders.next().await.data.as_ref(), br#""later""#);
}

#[tokio::test]
async fn a_stream_that_begins_wrongly_is_refused() {
    let folder = folder();
    broker(folder.path(), &[("subscriptionScopes", "shop=allowed")]);
    let mut daprd = daprd(&folder);
    daprd.start().await;
    let processed = Asked::EventProcessed(SubscribeTopicEventsRequestProcessedAlpha1::default());
    for (first, code, text) in [
        (
            message(processed),
            Code::Unknown,
            "initial request is required",
        ),
        (initial("", "t"), Code::Unknown, "pubsubName is required"),
        (initial("bus", ""), Code::Unknown, "topic is required"),
        (
            initial("none", "t"),
            Code::InvalidArgument,
            "pubsub none is not found",
        ),
        (initial("bus", "t"), Code::Unknown, "is not allowed"),
    ] {
        let Err(refused) = begin(&daprd, first).await else {
            panic!("{text}");
        };
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.message().contains(text), "{refused}");
    }
    let mut twice = begin(&daprd, initial("bus", "allowed")).await.unwrap();
    twice.says.send(initial("bus", "allowed")).await.unwrap();
    let ended = timeout(PATIENCE, twice.hears.message()).await.unwrap();
    let ended = ended.unwrap_err();
    assert_eq!(ended.message(), "duplicate initial request received");
}
