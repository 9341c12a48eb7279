//! `bindings.kafka`: `create` publishes, and topics are read as events.

use std::sync::Arc;

use async_trait::async_trait;
use krafka::KrafkaError;
use krafka::consumer::ConsumerRecord;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use trilby_components::binding::{
    Binding, BindingError, Event, EventHandler, InputBinding, Invocation, OutputBinding, Reading,
    Reply, Unhandled,
};
use trilby_components::metadata::{Metadata, Schema};
use trilby_components::registry::{ComponentContext, InitError};

use crate::consumption;
use crate::link::{Failure, Link};
use crate::member::{Duty, Taker};
use crate::message::{Headers, value};
use crate::partitions::SINGLE;
use crate::settings::{self, Config};

/// The only operation.
const CREATE: &str = "create";

/// Metadata of the binding beside what all of Kafka's take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// What is read, several topics separated by commas. Without it the binding brings no events.
    topics: Option<Vec<String>>,
    /// Where `create` publishes.
    publish_topic: Option<String>,
}

impl Schema for Settings {}

struct Output {
    link: Arc<Link>,
    topic: Option<String>,
}

struct Input {
    link: Arc<Link>,
    topics: Vec<String>,
}

/// Hands events to the application.
struct Reader {
    handler: Arc<dyn EventHandler>,
    headers: Headers,
}

/// Connects.
///
/// # Errors
/// The metadata does not decode, or no broker answers.
pub async fn connect(
    context: &ComponentContext,
    metadata: &Metadata,
) -> Result<Binding, InitError> {
    let (shared, rest): (settings::Settings, Metadata) = metadata.split()?;
    let settings: Settings = rest.decode()?;
    let link = Link::connect(Config::new(shared, context, false)?).await?;
    let link = Arc::new(link);
    let input = settings.topics.map(|topics| {
        let link = Arc::clone(&link);
        Arc::new(Input { link, topics }) as Arc<dyn InputBinding>
    });
    let topic = settings.publish_topic;
    Ok(Binding {
        input,
        output: Some(Arc::new(Output { link, topic })),
    })
}

#[async_trait]
impl OutputBinding for Output {
    fn operations(&self) -> Vec<String> {
        vec![CREATE.to_owned()]
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let Some(topic) = &self.topic else {
            return Err(BindingError::InvalidRequest(
                "the binding has no publishTopic".to_owned(),
            ));
        };
        let Invocation { data, metadata, .. } = invocation;
        let published = self.link.publish(topic, data, &metadata).await;
        published.map_err(refused)?;
        Ok(Reply::default())
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

#[async_trait]
impl InputBinding for Input {
    async fn read(
        &self,
        handler: Arc<dyn EventHandler>,
        stop: CancellationToken,
    ) -> Result<Reading, BindingError> {
        let headers = self.link.config().headers.clone();
        let duty = Duty {
            topics: self.topics.clone(),
            batching: SINGLE,
            taker: Arc::new(Reader { handler, headers }),
        };
        let begun = consumption::begin(&self.link, duty, stop).await;
        let reading = begun.map_err(|error| refused(Failure::Kafka(error)))?;
        Ok(Box::pin(async move {
            reading.await;
            Ok(())
        }))
    }
}

fn refused(failure: Failure) -> BindingError {
    match failure {
        Failure::Request(reason) => BindingError::InvalidRequest(reason),
        Failure::Kafka(error @ KrafkaError::Config { .. }) => {
            BindingError::InvalidRequest(error.to_string())
        }
        Failure::Kafka(error @ KrafkaError::Broker { .. }) if !error.is_retriable() => {
            BindingError::Refused {
                error: error.to_string(),
                reply: Box::default(),
            }
        }
        Failure::Kafka(error) => BindingError::Unavailable(error.to_string()),
    }
}

#[async_trait]
impl Taker for Reader {
    async fn take(&self, records: &[(i64, ConsumerRecord)]) -> Vec<Result<(), Unhandled>> {
        let mut results = Vec::with_capacity(records.len());
        for (_, record) in records {
            let event = Event {
                data: value(record),
                metadata: self.headers.metadata(record),
                content_type: None,
            };
            results.push(self.handler.handle(event).await.map(drop));
        }
        results
    }
}
