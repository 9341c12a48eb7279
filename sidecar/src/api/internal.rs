//! What other sidecars call: `dapr.proto.internals.v1.ServiceInvocation`.
//!
//! Callers prove their identity in the handshake. The access control judges them; the application sees the
//! proven identity, whatever the call's headers claim.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use prost_types::Any;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};
use trilby_grpc::PeerIdentity;
use trilby_identity::SpiffeId;
use trilby_proto::common::v1::InvokeResponse;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::internals::v1::service_invocation_server::ServiceInvocation;
use trilby_proto::internals::v1::{
    InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponse,
    InternalInvokeResponseStream, ListStringValue, Reminder,
};
use trilby_telemetry::{SpanHandle, TRACE_BIN, TRACEPARENT, TRACESTATE};

use super::traced::RPC_SERVICE;
use crate::acl::{AccessControl, Action, Attempt};
use crate::blocks::Blocks;
use crate::blocks::invoke::frames::{Incoming, Outgoing};
use crate::blocks::invoke::headers::{CALLER_ID, Origin, Parties, stamp_identity, to_wire};
use crate::blocks::invoke::{Answer, Call, from_wire_head, sse};
use crate::channel::AppChannel;
use crate::path::normalize_method;
use crate::payload::Payload;

/// The rules in force; they change with the Configuration.
pub type Rules = watch::Receiver<Arc<Option<AccessControl>>>;

/// The internal API.
#[derive(Debug, Clone)]
pub struct InternalApi {
    blocks: Arc<Blocks>,
    rules: Rules,
}

/// Where the name of a caller stands that proved none and claimed none.
const UNKNOWN_CALLER: &str = "unknown";

impl InternalApi {
    /// Serves the application behind `blocks` under `rules`.
    pub fn new(blocks: Arc<Blocks>, rules: Rules) -> Self {
        Self { blocks, rules }
    }

    fn app(&self) -> Result<&AppChannel, Status> {
        self.blocks
            .invoke
            .app
            .as_ref()
            .ok_or_else(|| Status::internal("app channel is not initialized"))
    }

    /// Cleans, judges and stamps a call. Returns the caller's name.
    fn admit(&self, call: &mut Call, caller: Option<&SpiffeId>) -> Result<String, Status> {
        let method = normalize_method(&call.method);
        call.method = method
            .map_err(|error| Status::invalid_argument(format!("invalid method: {error}")))?
            .into_owned();
        self.judge(&call.method, verb_name(call.verb), caller)?;
        let invoke = &self.blocks.invoke;
        if let Some(id) = caller {
            let parties = Parties {
                caller_namespace: id.namespace(),
                caller: id.app_id(),
                callee: &invoke.app_id,
            };
            stamp_identity(&mut call.headers, &parties);
        }
        let name = call
            .headers
            .get(CALLER_ID)
            .and_then(|value| value.to_str().ok())
            .unwrap_or(UNKNOWN_CALLER);
        invoke.metrics.received(name);
        Ok(name.to_owned())
    }

    /// Refuses what the access control denies.
    ///
    /// # Errors
    /// `PermissionDenied`, in upstream's words.
    pub(super) fn judge(
        &self,
        operation: &str,
        verb: Option<&str>,
        caller: Option<&SpiffeId>,
    ) -> Result<(), Status> {
        let rules = Arc::clone(&self.rules.borrow());
        let Some(rules) = rules.as_ref() else {
            return Ok(());
        };
        let decision = rules.decide(&Attempt {
            caller,
            operation,
            verb,
        });
        self.blocks
            .invoke
            .metrics
            .decided(decision.scope, decision.action, caller);
        match decision.action {
            Action::Allow => Ok(()),
            Action::Deny => Err(Status::permission_denied(format!(
                "access control policy has denied access to id: {} operation: {operation} verb: {}",
                caller.map_or("", SpiffeId::as_str),
                verb.unwrap_or("NONE"),
            ))),
        }
    }

    /// Calls the application and counts the answer.
    async fn serve(&self, call: Call, caller: &str) -> Result<Answer, Status> {
        let result = self.app()?.invoke(call).await;
        let status = result
            .as_ref()
            .map_or(tonic::Code::Internal as i32, |answer| {
                answer.outcome.number()
            });
        self.blocks.invoke.metrics.answered(caller, status);
        result.map_err(|error| app_failed(&error))
    }

    /// Puts a call below this sidecar's span, and says in the span what the call is.
    fn join_trace(&self, call: &mut Call, span: Option<&SpanHandle>) {
        let Some(span) = span else {
            return;
        };
        match call.origin {
            Origin::Http => span.to_http(&mut call.headers),
            Origin::Grpc => span.to_grpc(&mut call.headers),
        }
        span.describe(|note| {
            let (app, method) = (&self.blocks.invoke.app_id, &call.method);
            note.rename(format!("CallLocal/{app}/{method}"));
            note.set(RPC_SERVICE, "ServiceInvocation");
            note.set("dapr.invoke_method", method.as_str());
        });
    }

    fn limit(&self) -> usize {
        self.blocks.invoke.max_body
    }
}

/// Puts an actor's call below this sidecar's span, and says in the span what the call is.
fn join_actor_trace(request: &mut InternalInvokeRequest, span: &SpanHandle) {
    let mut headers = HeaderMap::new();
    span.to_http(&mut headers);
    let names = [TRACEPARENT, TRACESTATE, TRACE_BIN];
    let traced = |name: &str| {
        names
            .iter()
            .any(|own| own.as_str().eq_ignore_ascii_case(name))
    };
    request.metadata.retain(|name, _| !traced(name));
    request.metadata.extend(to_wire(&headers, Origin::Http));
    span.describe(|note| {
        let actor = request.actor.clone().unwrap_or_default();
        let method = request
            .message
            .as_ref()
            .map_or("", |message| &message.method);
        note.rename(format!("CallActor/{}/{method}", actor.actor_type));
        note.set(RPC_SERVICE, "ServiceInvocation");
        note.set(
            "dapr.actor",
            format!("{}.{}", actor.actor_type, actor.actor_id),
        );
    });
}

fn app_failed(error: &dyn std::fmt::Display) -> Status {
    Status::internal(format!("error invoking app channel: {error}"))
}

fn verb_name(verb: Verb) -> Option<&'static str> {
    (verb != Verb::None).then(|| verb.as_str_name())
}

fn caller_of<T>(request: &Request<T>) -> Option<SpiffeId> {
    request
        .extensions()
        .get::<PeerIdentity>()
        .and_then(|peer| peer.spiffe.clone())
}

/// Methods whose requests usually have no body. One whose length nobody told is taken into memory, since the
/// application would otherwise see an empty body announced as a stream.
fn usually_empty(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Get | Verb::Head | Verb::Delete | Verb::Options | Verb::Trace
    )
}

/// The messages of an answer.
type Answers = Pin<Box<dyn Stream<Item = Result<InternalInvokeResponseStream, Status>> + Send>>;

#[tonic::async_trait]
impl ServiceInvocation for InternalApi {
    type CallLocalStreamStream = Answers;
    type CallActorStreamStream =
        Pin<Box<dyn Stream<Item = Result<InternalInvokeResponse, Status>> + Send>>;

    async fn call_local(
        &self,
        request: Request<InternalInvokeRequest>,
    ) -> Result<Response<InternalInvokeResponse>, Status> {
        let caller = caller_of(&request);
        let span = SpanHandle::of(request.extensions());
        self.app()?;
        let mut call = from_wire_head(request.into_inner())?.call;
        self.join_trace(&mut call, span.as_ref());
        let name = self.admit(&mut call, caller.as_ref())?;
        let mut answer = self.serve(call, &name).await?;
        let body = std::mem::replace(&mut answer.body, Payload::empty())
            .collect(self.limit())
            .await;
        let body = body.map_err(|error| Status::internal(error.to_string()))?;
        let mut head = answer_head(&answer, &Payload::empty());
        let message = head.message.get_or_insert_default();
        message.data = Some(Any {
            type_url: answer.type_url,
            value: body.into(),
        });
        Ok(Response::new(head))
    }

    async fn call_local_stream(
        &self,
        request: Request<Streaming<InternalInvokeRequestStream>>,
    ) -> Result<Response<Answers>, Status> {
        let caller = caller_of(&request);
        self.app()?;
        let span = SpanHandle::of(request.extensions());
        let caller = (caller.as_ref(), span.as_ref());
        let (mut call, name) = self.receive(request.into_inner(), caller).await?;
        if call.body.known_length().is_none() && usually_empty(call.verb) {
            let body = std::mem::replace(&mut call.body, Payload::empty())
                .collect(self.limit())
                .await;
            call.body = body
                .map_err(|error| Status::invalid_argument(error.to_string()))?
                .into();
        }
        let events = sse::wanted(&call.headers);
        let mut answer = self.serve(call, &name).await?;
        if events && !sse::succeeds(&answer.outcome) {
            return Err(app_failed(&"no response received from stream"));
        }
        let body = std::mem::replace(&mut answer.body, Payload::empty());
        let head = answer_head(&answer, &body);
        let messages = Outgoing::new(head, body).map(|message| {
            message.map_err(|error| {
                Status::unknown(format!("error reading the app's response: {error}"))
            })
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn call_actor(
        &self,
        request: Request<InternalInvokeRequest>,
    ) -> Result<Response<InternalInvokeResponse>, Status> {
        let span = SpanHandle::of(request.extensions());
        let mut request = request.into_inner();
        if let Some(span) = span {
            join_actor_trace(&mut request, &span);
        }
        let answered = self.blocks.actors.call_from_peer(request).await;
        answered.map(Response::new)
    }

    async fn call_actor_reminder(&self, _: Request<Reminder>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented(
            "actor reminders need the scheduler, which is not there yet in Trilby",
        ))
    }

    async fn call_actor_stream(
        &self,
        _: Request<InternalInvokeRequest>,
    ) -> Result<Response<Self::CallActorStreamStream>, Status> {
        Err(Status::unimplemented(
            "streaming actor calls serve workflows, which are not there yet in Trilby",
        ))
    }
}

impl InternalApi {
    /// Reads the head of a call, admits it, and puts the rest behind it as its body.
    async fn receive(
        &self,
        mut messages: Streaming<InternalInvokeRequestStream>,
        (caller, span): (Option<&SpiffeId>, Option<&SpanHandle>),
    ) -> Result<(Call, String), Status> {
        let incomplete = || {
            Status::invalid_argument(
                "parsing InternalInvokeRequest error: request does not contain the required fields in the leading chunk",
            )
        };
        let first = messages.message().await?.ok_or_else(incomplete)?;
        let head = first
            .request
            .filter(|head| head.message.is_some())
            .ok_or_else(incomplete)?;
        let received = from_wire_head(head)?;
        let mut call = received.call;
        self.join_trace(&mut call, span);
        let name = self.admit(&mut call, caller)?;
        let body = match received.length {
            Some(0) if first.payload.is_none() => Payload::empty(),
            length => Payload::Stream(Body::new(
                Incoming::new(first.payload, messages).with_length(length),
            )),
        };
        call.body = match call.origin {
            Origin::Http => body,
            // It was one message where it entered, and its length is not told. An application that gets it in chunks may
            // not know how to read them.
            Origin::Grpc => {
                let whole = body.collect(self.limit()).await;
                Payload::Bytes(whole.map_err(|error| Status::internal(error.to_string()))?)
            }
        };
        Ok((call, name))
    }
}

/// The head of an answer. The length of a body that is known goes along, for sidecars that can use it.
fn answer_head(answer: &Answer, body: &Payload) -> InternalInvokeResponse {
    let mut headers = answer.headers.clone();
    headers.remove(CONTENT_LENGTH);
    let mut headers = to_wire(&headers, answer.origin);
    if let Some(length @ 1..) = body.known_length() {
        headers.insert(
            "Content-Length".to_owned(),
            ListStringValue {
                values: vec![length.to_string()],
            },
        );
    }
    InternalInvokeResponse {
        status: Some(answer.outcome.to_wire()),
        headers,
        trailers: to_wire(&answer.trailers, answer.origin),
        message: Some(InvokeResponse {
            data: (!answer.type_url.is_empty()).then(|| Any {
                type_url: answer.type_url.clone(),
                value: Default::default(),
            }),
            content_type: answer.content_type.clone(),
        }),
    }
}
