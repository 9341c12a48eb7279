//! The pub/sub block: what an application publishes, and what is delivered to it.

mod error;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use trilby_components::RequestMetadata;
use trilby_components::pubsub::{Feature, Message, PubSubError};
use trilby_pubsub::is_raw;
use trilby_pubsub::publish::{Publication, envelope};
use trilby_pubsub::topic::physical;
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency, Stopped};
use trilby_resources::{Lookup, PubSubComponent, Resources};

use super::guarded::{ComponentFailure, Request, guarded};
use crate::error::ApiError;
use crate::metrics::{Metrics, PubSubMetrics};

pub(super) use error::not_found;
pub use error::{Place, entries_invalid, entry_id_invalid, entry_invalid};

/// How long a dead letter may take, as upstream has it.
const PASS_ON: Duration = Duration::from_secs(30);

/// Brokers as an application may use them.
#[derive(Debug, Clone)]
pub struct PubSub {
    resources: Resources,
    resiliency: Resiliency,
    app_id: Arc<str>,
    namespace: Arc<str>,
    metrics: PubSubMetrics,
}

/// The span that a message is published in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trace<'a> {
    /// `traceparent`; empty for none.
    pub parent: &'a str,
    /// `tracestate`; empty for none.
    pub state: &'a str,
}

/// What is published.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The data.
    pub data: Bytes,
    /// Of the data; empty if it is not said.
    pub content_type: String,
    /// For the envelope and for the broker.
    pub metadata: RequestMetadata,
}

/// One of several messages.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// By which its failure is told.
    pub id: String,
    /// The message; its metadata has the request's below it.
    pub payload: Payload,
}

/// Why not everything was published.
#[derive(Debug)]
pub struct BulkFailure {
    /// What is the matter.
    pub error: ApiError,
    /// The entries that are not published, with their reasons; none if that does not depend on the entry.
    pub failed: Vec<(String, String)>,
}

impl From<ApiError> for BulkFailure {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            failed: Vec::new(),
        }
    }
}

impl PubSub {
    /// The brokers of `resources`, for an application of that id in that namespace.
    pub fn new(
        resources: Resources,
        resiliency: Resiliency,
        (namespace, app_id): (&str, &str),
    ) -> Self {
        Self {
            resources,
            resiliency,
            app_id: app_id.into(),
            namespace: namespace.into(),
            metrics: Metrics::off("", "").pubsub(),
        }
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: PubSubMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Under which id the application publishes.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Whether there is such a broker and such a topic: what is asked before anything else is looked at.
    ///
    /// # Errors
    /// There is not, as the API answers it.
    pub fn check(&self, place: Place<'_>, metadata: &RequestMetadata) -> Result<(), ApiError> {
        self.found(place, metadata).map(drop)
    }

    /// Publishes a message.
    ///
    /// # Errors
    /// As the API answers them: no such broker, not allowed, or the broker's own failure.
    pub async fn publish(
        &self,
        place: Place<'_>,
        payload: Payload,
        trace: Trace<'_>,
    ) -> Result<(), ApiError> {
        let component = self.found(place, &payload.metadata)?;
        let message = self.message(&component, place, payload, trace)?;
        self.allowed(&component, place)?;
        let start = Instant::now();
        let published = self.send(&component, message).await;
        self.metrics
            .published((place.pubsub, place.topic), published.is_ok(), start);
        published.map_err(|failure| error::publish_failed(place, failure))
    }

    /// Publishes several messages, each on its own. `metadata` is the request's.
    ///
    /// # Errors
    /// Nothing is published, or not everything is.
    pub async fn publish_bulk(
        &self,
        place: Place<'_>,
        (entries, metadata): (Vec<Entry>, &RequestMetadata),
        trace: Trace<'_>,
    ) -> Result<(), BulkFailure> {
        let component = self.found(place, metadata)?;
        let mut ids = Vec::with_capacity(entries.len());
        let mut messages = Vec::with_capacity(entries.len());
        for Entry { id, payload } in entries {
            messages.push(self.message(&component, place, payload, trace)?);
            ids.push(id);
        }
        self.allowed(&component, place)?;
        let start = Instant::now();
        let (count, failed) = (ids.len(), self.send_all(&component, messages).await);
        self.metrics.published_bulk(
            (place.pubsub, place.topic),
            (failed.is_empty(), count - failed.len()),
            start,
        );
        if failed.is_empty() {
            return Ok(());
        }
        let reasons = failed.iter().map(|(_, reason)| reason.to_string());
        let mut reasons: Vec<String> = reasons.collect();
        reasons.dedup();
        Err(BulkFailure {
            error: error::publish_failed(place, reasons.join("\n")),
            failed: failed
                .into_iter()
                .map(|(index, reason)| (std::mem::take(&mut ids[index]), reason.to_string()))
                .collect(),
        })
    }

    /// What goes to the broker.
    fn message(
        &self,
        component: &PubSubComponent,
        place: Place<'_>,
        payload: Payload,
        trace: Trace<'_>,
    ) -> Result<Message, ApiError> {
        let Payload {
            data,
            content_type,
            metadata,
        } = payload;
        let raw = is_raw(&metadata);
        let raw =
            raw.map_err(|why| error::metadata_invalid(place.pubsub, why, metadata.clone()))?;
        let publication = Publication {
            source: &self.app_id,
            pubsub: place.pubsub,
            topic: place.topic,
            data,
            content_type: &content_type,
            metadata: &metadata,
            raw,
            trace_parent: trace.parent,
            trace_state: trace.state,
            broker_expires: component.broker.has(Feature::MessageTtl),
            now: Timestamp::now(),
        };
        let data = envelope(&publication)
            .map_err(|why| error::no_cloud_event(place.pubsub, &self.app_id, why))?;
        Ok(Message {
            topic: physical(self.namespace_of(component), place.topic),
            data,
            content_type: None,
            metadata,
        })
    }

    async fn send(&self, component: &PubSubComponent, message: Message) -> Result<(), PubSubError> {
        let policy = self.policy(&component.name);
        let mut request = Request::new(message, policy.as_ref());
        guarded(policy, || component.broker.publish(request.next())).await
    }

    /// Sends all, and again what failed, as far as the policy goes; gives what is not published, by its place in the list.
    async fn send_all(
        &self,
        component: &PubSubComponent,
        messages: Vec<Message>,
    ) -> Vec<(usize, PubSubError)> {
        let left: Mutex<Vec<(usize, Message, Option<PubSubError>)>> = Mutex::new(
            messages
                .into_iter()
                .enumerate()
                .map(|(index, message)| (index, message, None))
                .collect(),
        );
        let attempt = || async {
            let batch: Vec<Message> = {
                let left = left.lock();
                left.iter().map(|(_, message, _)| message.clone()).collect()
            };
            let mut results = component.broker.bulk_publish(batch).await.into_iter();
            let mut left = left.lock();
            left.retain_mut(|(_, _, failure)| {
                // A broker that tells less than it was asked has not taken the rest.
                let missing = || {
                    Err(PubSubError::Unavailable(
                        "the broker did not say".to_owned(),
                    ))
                };
                *failure = results.next().unwrap_or_else(missing).err();
                failure.is_some()
            });
            match left.iter().find_map(|(_, _, failure)| failure.clone()) {
                None => Ok(()),
                Some(failure) => Err(failure),
            }
        };
        let published = guarded(self.policy(&component.name), attempt).await;
        let failed = left.into_inner().into_iter();
        let stopped = published.err();
        failed
            .filter_map(|(index, _, failure)| Some((index, failure.or_else(|| stopped.clone())?)))
            .collect()
    }

    /// The namespace that a component's topics belong to, if they do.
    pub fn namespace_of(&self, component: &PubSubComponent) -> Option<&str> {
        component.is_namespaced().then_some(&*self.namespace)
    }

    /// Passes a message on to another topic as it is: a dead letter.
    ///
    /// # Errors
    /// It is not there, and why.
    pub async fn pass_on(&self, place: Place<'_>, message: Message) -> Result<(), String> {
        let component = self.resources.pubsub(place.pubsub);
        let component = component.map_err(|lookup| lookup.to_string())?;
        if !component.scopes().may_publish(place.topic) {
            let (topic, app_id) = (place.topic, &self.app_id);
            return Err(format!("topic {topic} is not allowed for app id {app_id}"));
        }
        let message = Message {
            topic: physical(self.namespace_of(&component), place.topic),
            ..message
        };
        let sent = timeout(PASS_ON, self.send(&component, message)).await;
        let late = || {
            Err(PubSubError::Unavailable(format!(
                "no answer within {PASS_ON:?}"
            )))
        };
        sent.unwrap_or_else(|_| late())
            .map_err(|failure| failure.to_string())
    }

    fn policy(&self, pubsub: &str) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(pubsub, ComponentKind::Pubsub, Direction::Outbound)
    }

    fn allowed(&self, component: &PubSubComponent, place: Place<'_>) -> Result<(), ApiError> {
        if component.scopes().may_publish(place.topic) {
            return Ok(());
        }
        Err(error::forbidden(place, &self.app_id))
    }

    fn found(
        &self,
        place: Place<'_>,
        metadata: &RequestMetadata,
    ) -> Result<Arc<PubSubComponent>, ApiError> {
        let Place { pubsub, topic } = place;
        if pubsub.is_empty() {
            return Err(error::name_empty(metadata.clone()));
        }
        let found = self.resources.pubsub(pubsub).map_err(|lookup| {
            let why = match &lookup {
                Lookup::Failed(why) => Some(why.as_str()),
                Lookup::NotConfigured | Lookup::NotFound => None,
            };
            error::not_found(pubsub, why, metadata.clone())
        })?;
        if topic.is_empty() {
            return Err(error::topic_empty(pubsub, metadata.clone()));
        }
        Ok(found)
    }
}

impl ComponentFailure for PubSubError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_))
    }

    fn stopped(stopped: Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}
