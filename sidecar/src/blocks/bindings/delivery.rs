//! Brings events of one input binding to the application.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout};
use tracing::debug;
use trilby_components::RequestMetadata;
use trilby_components::binding::{Event, EventHandler, Unhandled};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_proto::runtime::v1::{BindingEventRequest, BindingEventResponse};
use trilby_resiliency::{ComponentKind, Direction, Failure, Policy, Stopped, run};
use trilby_telemetry::{Kind, Span, Tracing};

use super::{Bindings, answer};
use crate::blocks::invoke::Call;
use crate::blocks::invoke::headers::Origin;
use crate::channel::{AppChannel, GrpcChannel, HttpChannel};
use crate::payload::Payload;

/// What metrics and spans call the delivery to an application that speaks gRPC.
const ON_BINDING_EVENT: &str = "/dapr.proto.runtime.v1.AppCallback/OnBindingEvent";
/// How long an application may take for one attempt, whatever its policy says. Upstream waits for ever.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The application, as events of one binding see it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The binding's name.
    pub name: String,
    /// The path that events are sent to.
    pub route: String,
    /// The way to the application.
    pub app: AppChannel,
    /// What its answers may ask for, and what counts events.
    pub bindings: Bindings,
    /// Traces every event.
    pub tracing: Tracing,
    /// The largest answer, in bytes.
    pub max_body: usize,
}

/// Why the application did not take an event.
#[derive(Debug)]
enum Refused {
    /// It said so.
    Answered(StatusCode, Bytes),
    /// It said nothing.
    Silent(String),
}

impl From<Stopped> for Refused {
    fn from(stopped: Stopped) -> Self {
        Self::Silent(stopped.to_string())
    }
}

#[async_trait]
impl EventHandler for Delivery {
    async fn handle(&self, event: Event) -> Result<Option<Bytes>, Unhandled> {
        let start = Instant::now();
        let taken = self.bring(event).await;
        self.bindings.metrics.event(&self.name, &taken, start);
        taken.inspect_err(|error| {
            debug!(%error, binding = self.name, "the application did not take an event");
        })
    }
}

impl Delivery {
    async fn bring(&self, event: Event) -> Result<Option<Bytes>, Unhandled> {
        let headers = headers_of(&event.metadata);
        let name = || format!("bindings/{}", self.name);
        let span = self.tracing.start_http(&headers, Kind::Client, name);
        let taken = match &self.app {
            AppChannel::Http(app) => self.over_http(app, (event, headers), &span).await,
            AppChannel::Grpc(app) => self.over_grpc(app, event, &span).await,
        };
        if let (Some(note), Err(error)) = (span.note(), &taken) {
            note.fail(error.to_string());
        }
        taken
    }

    fn policy(&self) -> Option<Policy> {
        let policies = self.bindings.resiliency.policies();
        policies.component(&self.name, ComponentKind::Binding, Direction::Inbound)
    }

    fn describe(&self, span: &Span, url: String) {
        if let Some(note) = span.note() {
            note.set("db.name", self.name.as_str());
            note.set("rpc.service", "Dapr");
            note.set("db.system", "bindings");
            note.set("db.connection_string", url);
        }
    }

    async fn over_http(
        &self,
        app: &HttpChannel,
        (event, mut headers): (Event, HeaderMap),
        span: &Span,
    ) -> Result<Option<Bytes>, Unhandled> {
        self.describe(span, format!("POST /{}", self.name));
        span.handle().to_http(&mut headers);
        let attempt = |_| {
            let call = self.call(event.data.clone(), headers.clone());
            within_limit(self.post(app, call))
        };
        match run(self.policy(), attempt).await {
            Ok(body) => Ok(Some(body)),
            // For policies only 200 is a success.
            Err(Refused::Answered(status, body)) if status.is_success() => Ok(Some(body)),
            Err(Refused::Answered(status, body)) => Err(Unhandled(format!(
                "fails to send binding event to http app channel, status code: {} body: {}",
                status.as_u16(),
                String::from_utf8_lossy(&body)
            ))),
            Err(Refused::Silent(error)) => Err(Unhandled(format!("error invoking app: {error}"))),
        }
    }

    fn call(&self, data: Bytes, headers: HeaderMap) -> Call {
        Call {
            method: self.route.trim_start_matches('/').to_owned(),
            verb: Verb::Post,
            query: String::new(),
            content_type: "application/json".to_owned(),
            type_url: String::new(),
            headers,
            origin: Origin::Http,
            body: Payload::Bytes(data),
        }
    }

    async fn post(&self, app: &HttpChannel, call: Call) -> Result<Bytes, Failure<Refused>> {
        let silent =
            |error: &dyn std::fmt::Display| Failure::again(Refused::Silent(error.to_string()));
        let answer = app.invoke(call).await.map_err(|error| silent(&error))?;
        let status = answer.outcome.http();
        let body = answer.body.collect(self.max_body).await;
        let body = body.map_err(|error| silent(&error))?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(Failure::code(
                status.as_u16().into(),
                Refused::Answered(status, body),
            )),
        }
    }

    async fn over_grpc(
        &self,
        app: &GrpcChannel,
        event: Event,
        span: &Span,
    ) -> Result<Option<Bytes>, Unhandled> {
        self.describe(span, ON_BINDING_EVENT.to_owned());
        let mut headers = HeaderMap::new();
        span.handle().to_http(&mut headers);
        let attempt = |_| {
            let request = BindingEventRequest {
                name: self.name.clone(),
                data: event.data.clone(),
                metadata: event.metadata.clone().into_iter().collect(),
            };
            within_limit(call_back(app, (headers.clone(), request)))
        };
        let answered = run(self.policy(), attempt).await;
        let answer = answered.map_err(|refused| match refused {
            Refused::Silent(error) => Unhandled(format!("error invoking app: {error}")),
            Refused::Answered(status, _) => Unhandled(format!("error invoking app: {status}")),
        })?;
        answer::follow(&self.bindings, &answer).await;
        Ok(Some(answer.data).filter(|data| !data.is_empty()))
    }
}

async fn call_back(
    app: &GrpcChannel,
    question: (HeaderMap, BindingEventRequest),
) -> Result<BindingEventResponse, Failure<Refused>> {
    let largest = app.max_message();
    let answered = app.call_back(ON_BINDING_EVENT, question, async |channel, request| {
        AppCallbackClient::new(channel)
            .max_decoding_message_size(largest)
            .max_encoding_message_size(largest)
            .on_binding_event(request)
            .await
    });
    let answered = answered.await;
    answered.map_err(|status| Failure::again(Refused::Silent(status.to_string())))
}

async fn within_limit<T>(
    attempt: impl Future<Output = Result<T, Failure<Refused>>>,
) -> Result<T, Failure<Refused>> {
    timeout(LIMIT, attempt).await.unwrap_or_else(|_| {
        let error = format!("the application took longer than {LIMIT:?}");
        Err(Failure::again(Refused::Silent(error)))
    })
}

/// Metadata as headers. What a header cannot be is left out.
fn headers_of(metadata: &RequestMetadata) -> HeaderMap {
    let headers = metadata.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    headers.collect()
}
