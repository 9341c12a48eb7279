//! Kubernetes Events: what is told of an object, on the object.

use std::time::Duration;

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tracing::info;

use crate::cluster::reason;

/// Who says it.
const REPORTER: &str = "dapr.io/operator";
/// Characters that a note may have, by the API server's rule; kept in bytes.
const LONGEST_NOTE: usize = 1024;
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News<'a> {
    /// `Normal` or `Warning`.
    pub type_: &'static str,
    /// One word, for programs.
    pub reason: &'a str,
    /// What was tried.
    pub action: &'static str,
    /// For people; cut to what an Event may hold.
    pub note: &'a str,
}

/// The Event that tells it of this object, which has a namespace.
pub(crate) fn event(regarding: ObjectReference, news: News<'_>) -> Event {
    Event {
        metadata: ObjectMeta {
            generate_name: regarding.name.as_ref().map(|name| format!("{name}-")),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        type_: Some(news.type_.to_owned()),
        reason: Some(news.reason.to_owned()),
        note: Some(cut(news.note).to_owned()),
        action: Some(news.action.to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        regarding: Some(regarding),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(trilby_bootstrap::net::hostname()),
        ..Event::default()
    }
}

/// Creates it; that it cannot be created is only logged.
pub(crate) async fn tell(client: Client, event: Event) {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client, &namespace);
    match tokio::time::timeout(TIMEOUT, api.create(&PostParams::default(), &event)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => info!(reason = reason(&error), "event not created"),
        Err(_) => info!("event not created: no answer within {TIMEOUT:?}"),
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST_NOTE)]
}
