//! Kubernetes Events: what is told of an object, on the object.
//!
//! An Event is for people who look at the object (`kubectl describe`); nothing waits for it, and that it cannot be created
//! is only logged. When to tell something, and how often, is the caller's decision.

use std::time::Duration;

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tracing::info;

/// Bytes that a note may have; the API server counts 1,024 characters.
const LONGEST_NOTE: usize = 1024;
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who tells: a controller, and which process of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    controller: &'static str,
    instance: String,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News<'a> {
    /// How serious it is.
    pub tone: Tone,
    /// One word, for programs.
    pub reason: &'a str,
    /// What was tried.
    pub action: &'static str,
    /// For people; cut to what an Event may hold.
    pub note: &'a str,
}

/// What Kubernetes calls the type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nobody has to do anything.
    Normal,
    /// Somebody may have to.
    Warning,
}

// === impl Reporter ===

impl Reporter {
    /// A process of `controller`, which is of the form `dapr.io/operator`.
    pub fn new(controller: &'static str, instance: String) -> Self {
        Self {
            controller,
            instance,
        }
    }

    /// The Event that tells it of this object; of one without a namespace in `default`, where Kubernetes takes them.
    #[must_use]
    pub fn event(&self, regarding: ObjectReference, news: News<'_>) -> Event {
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        Event {
            metadata: ObjectMeta {
                generate_name: regarding.name.as_ref().map(|name| format!("{name}-")),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(news.tone.name().to_owned()),
            reason: Some(news.reason.to_owned()),
            note: Some(cut(news.note).to_owned()),
            action: Some(news.action.to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            regarding: Some(regarding),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

// === impl Tone ===

impl Tone {
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The owner of an object in `namespace`, as what an Event is about.
#[must_use]
pub fn owner(namespace: &str, owner: &OwnerReference) -> ObjectReference {
    ObjectReference {
        api_version: Some(owner.api_version.clone()),
        kind: Some(owner.kind.clone()),
        name: Some(owner.name.clone()),
        namespace: Some(namespace.to_owned()),
        uid: Some(owner.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Creates it; that it cannot be created is only logged.
pub async fn tell(client: Client, event: Event) {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client, &namespace);
    match tokio::time::timeout(TIMEOUT, api.create(&PostParams::default(), &event)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => info!(reason = reason(&error), "event not created"),
        Err(_) => info!("event not created: no answer within {TIMEOUT:?}"),
    }
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => error.to_string(),
    }
}

fn cut(note: &str) -> &str {
    &note[..note.floor_char_boundary(LONGEST_NOTE)]
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ObjectReference;

    use super::{News, Reporter, Tone};

    #[test]
    fn an_event_is_in_the_namespace_of_its_object_and_fits() {
        let object = ObjectReference {
            name: Some("orders".to_owned()),
            namespace: Some("shop".to_owned()),
            ..ObjectReference::default()
        };
        let long = "ü".repeat(2000);
        let news = News {
            tone: Tone::Warning,
            reason: "NoService",
            action: "CreateService",
            note: &long,
        };
        let event = Reporter::new("dapr.io/operator", "a".to_owned()).event(object, news);
        assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(event.metadata.generate_name.as_deref(), Some("orders-"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.note.map(|note| note.len()), Some(1024));
    }
}
