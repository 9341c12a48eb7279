//! Actors inside the application: every turn is a request over the application's channel.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use serde_json::value::RawValue;
use trilby_actors::{
    ActorKey, ActorRequest, ActorResponse, AppCallback, AppFailure, Metadata, TimerFire,
};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_resiliency::{Failure, Resiliency, Stopped, run};

use crate::blocks::invoke::headers::Origin;
use crate::blocks::invoke::{Answer, Call};
use crate::channel::AppChannel;
use crate::payload::Payload;

/// The application's actors.
#[derive(Debug, Clone)]
pub struct AppActors {
    app: Option<AppChannel>,
    resiliency: Resiliency,
    max_body: usize,
}

/// A failed request. (Neither the failure's type nor the policy's is of this crate.)
struct Failed(AppFailure);

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self(AppFailure::Unreachable(stopped.to_string()))
    }
}

/// One request to the application about an actor.
struct Turn {
    path: String,
    verb: Verb,
    content_type: String,
    headers: HeaderMap,
    body: Bytes,
}

impl AppActors {
    /// Over the application's channel, if it has one; answers may have `max_body` bytes.
    pub fn new(app: Option<AppChannel>, resiliency: Resiliency, max_body: usize) -> Self {
        Self {
            app,
            resiliency,
            max_body,
        }
    }

    /// One request to the app, within the timeout of the actor type's policy.
    async fn call(&self, actor: &ActorKey, turn: Turn) -> Result<ActorResponse, AppFailure> {
        let Some(policy) = self.resiliency.policies().actor_turn(&actor.actor_type) else {
            return self.send(turn).await;
        };
        let mut turn = Some(turn);
        let attempt = |_| {
            let turn = turn.take().expect("a timeout alone repeats nothing");
            async {
                self.send(turn)
                    .await
                    .map_err(|failure| Failure::last(Failed(failure)))
            }
        };
        run(Some(policy), attempt)
            .await
            .map_err(|Failed(failure)| failure)
    }

    async fn send(&self, turn: Turn) -> Result<ActorResponse, AppFailure> {
        let app = self.app.as_ref().ok_or(AppFailure::NoChannel)?;
        if app.grpc().is_some() {
            return Err(AppFailure::NotConnected);
        }
        let call = Call {
            method: turn.path,
            verb: turn.verb,
            query: String::new(),
            content_type: turn.content_type,
            type_url: String::new(),
            headers: turn.headers,
            origin: Origin::Http,
            body: Payload::Bytes(turn.body),
        };
        let unreachable =
            |error: &dyn std::fmt::Display| AppFailure::Unreachable(error.to_string());
        let answer = app
            .invoke(call)
            .await
            .map_err(|error| unreachable(&error))?;
        let Answer {
            outcome,
            headers,
            content_type,
            body,
            ..
        } = answer;
        let data = body
            .collect(self.max_body)
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(ActorResponse {
            status: outcome.http().as_u16(),
            headers: metadata_of(&headers),
            content_type,
            data,
        })
    }
}

#[async_trait]
impl AppCallback for AppActors {
    async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, AppFailure> {
        let turn = Turn {
            path: format!("{}/method/{}", path_of(&request.actor), request.method),
            verb: Verb::Put,
            content_type: request.content_type,
            headers: headers_of(&request.metadata),
            body: request.data,
        };
        self.call(&request.actor, turn).await
    }

    async fn timer(&self, actor: &ActorKey, timer: TimerFire) -> Result<ActorResponse, AppFailure> {
        let text = std::str::from_utf8(&timer.data)
            .ok()
            .filter(|text| !text.is_empty());
        let data = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let body = json!({
            "callback": timer.callback, "data": data, "dueTime": timer.due_time, "period": timer.period,
        });
        let turn = Turn {
            path: format!("{}/method/timer/{}", path_of(actor), timer.name),
            verb: Verb::Put,
            content_type: "application/json".to_owned(),
            headers: HeaderMap::new(),
            body: body.to_string().into(),
        };
        self.call(actor, turn).await
    }

    async fn deactivate(&self, actor: &ActorKey) -> Result<(), AppFailure> {
        let answer = self
            .send(Turn {
                path: path_of(actor),
                verb: Verb::Delete,
                content_type: "application/x-protobuf".to_owned(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
            })
            .await?;
        match answer.status {
            200 => Ok(()),
            status => Err(AppFailure::Status {
                status,
                body: String::from_utf8_lossy(&answer.data).into_owned(),
            }),
        }
    }
}

fn path_of(actor: &ActorKey) -> String {
    format!("actors/{}/{}", actor.actor_type, actor.actor_id)
}

/// Headers for HTTP. What HTTP cannot carry is left out.
pub(crate) fn headers_of(metadata: &Metadata) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(metadata.len());
    for (name, values) in metadata {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        for value in values
            .iter()
            .filter_map(|value| HeaderValue::from_str(value).ok())
        {
            headers.append(name.clone(), value);
        }
    }
    headers
}

/// Headers of HTTP as metadata. Values that are no text lose what metadata cannot carry.
pub(crate) fn metadata_of(headers: &HeaderMap) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        metadata
            .entry(name.as_str().to_owned())
            .or_default()
            .push(value);
    }
    metadata
}
