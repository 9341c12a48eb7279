//! Subscriptions over a stream.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};
use trilby_proto::runtime::v1::subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as Asked;
use trilby_proto::runtime::v1::subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as Told;
use trilby_proto::runtime::v1::{
    SubscribeTopicEventsRequestAlpha1, SubscribeTopicEventsRequestInitialAlpha1,
    SubscribeTopicEventsResponseAlpha1, SubscribeTopicEventsResponseInitialAlpha1,
};

use crate::blocks::subscriptions::{Processed, Streaming as Wanted, Subscriptions};

/// The messages of a subscription.
pub(super) type Events =
    Pin<Box<dyn Stream<Item = Result<SubscribeTopicEventsResponseAlpha1, Status>> + Send>>;

pub(super) async fn subscribe(
    subscriptions: &Subscriptions,
    mut asked: Streaming<SubscribeTopicEventsRequestAlpha1>,
) -> Result<Events, Status> {
    let first = tokio::select! {
        first = asked.message() => first?,
        () = subscriptions.ended() => return Err(Status::unknown("api server closed")),
    };
    let initial = match first.and_then(|first| first.subscribe_topic_events_request_type) {
        Some(Asked::InitialRequest(initial)) => initial,
        _ => return Err(Status::unknown("initial request is required")),
    };
    let wanted = wanted(initial)?;
    let answers = asked.map(processed);
    let streamed = subscriptions.stream(wanted, Box::pin(answers)).await?;
    let begun = Told::InitialResponse(SubscribeTopicEventsResponseInitialAlpha1 {});
    let first = stream::once(async { Ok(told(begun)) });
    let rest = stream::unfold(streamed, async |mut streamed| {
        let event = streamed.events.recv().await?;
        Some((event.map(|event| told(Told::EventMessage(event))), streamed))
    });
    Ok(Box::pin(first.chain(rest)))
}

fn wanted(initial: SubscribeTopicEventsRequestInitialAlpha1) -> Result<Wanted, Status> {
    if initial.pubsub_name.is_empty() {
        return Err(Status::unknown("pubsubName is required"));
    }
    if initial.topic.is_empty() {
        return Err(Status::unknown("topic is required"));
    }
    Ok(Wanted {
        pubsub: initial.pubsub_name,
        topic: initial.topic,
        metadata: initial.metadata.into_iter().collect(),
        dead_letter: initial.dead_letter_topic.unwrap_or_default(),
    })
}

fn processed(said: Result<SubscribeTopicEventsRequestAlpha1, Status>) -> Result<Processed, Status> {
    match said?.subscribe_topic_events_request_type {
        Some(Asked::EventProcessed(processed)) => Ok(Processed {
            id: processed.id,
            status: processed.status.map_or(0, |status| status.status),
        }),
        _ => Err(Status::unknown("duplicate initial request received")),
    }
}

fn told(what: Told) -> SubscribeTopicEventsResponseAlpha1 {
    SubscribeTopicEventsResponseAlpha1 {
        subscribe_topic_events_response_type: Some(what),
    }
}
