//! One attempt to call another sidecar, and the form that calls and answers have on that way.

use axum::body::Body;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use prost_types::Any;
use tokio::sync::oneshot;
use tonic::{Code, Request, Status, Streaming};
use trilby_grpc::Channel;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest};
use trilby_proto::internals::v1::service_invocation_client::ServiceInvocationClient;
use trilby_proto::internals::v1::{
    ApiVersion, InternalInvokeRequest, InternalInvokeRequestStream, InternalInvokeResponse,
    InternalInvokeResponseStream,
};

use super::frames::{Incoming, Outgoing};
use super::headers::{from_wire, to_http, to_wire};
use super::{Answer, Call, CallError, Invoker, Outcome, Target};
use crate::metrics::CallKind;
use crate::payload::{BodyError, Payload};
use crate::tracing_context::tell_sidecar;

type Client = ServiceInvocationClient<Channel>;

impl Invoker {
    /// Calls the target's sidecar once. The body of `call` is consumed.
    pub(super) async fn attempt(
        &self,
        target: &Target,
        call: &mut Call,
    ) -> Result<Answer, CallError> {
        let address = self.locate(target).await?;
        let client = self.client(&address, target).await?;
        let timer = self.metrics.sent(&target.app_id, CallKind::Unary);
        let result = self.call_stream(client, call).await;
        match &result {
            Ok(answer) => timer.received(answer.outcome.number()),
            Err(error)
                if error.code == Code::Unavailable || error.code == Code::Unauthenticated =>
            {
                self.peers.discard(&address, target);
                self.resolver.forget(&target.app_id, &target.namespace);
            }
            Err(_) => {}
        }
        result
    }

    async fn client(&self, address: &str, target: &Target) -> Result<Client, CallError> {
        let channel = self.peers.channel(address, target);
        let channel = channel.map_err(|error| CallError::unknown(error.to_string()))?;
        Ok(ServiceInvocationClient::new(channel)
            .max_decoding_message_size(self.max_body)
            .max_encoding_message_size(self.max_body))
    }

    async fn call_stream(&self, mut client: Client, call: &mut Call) -> Result<Answer, CallError> {
        let body = std::mem::replace(&mut call.body, Payload::empty());
        let replay = body.replay();
        let head = to_wire_head(call, &body);
        let (messages, broken) = requests(head, body);
        let answered = tokio::select! {
            biased;
            Ok(error) = broken => return Err(CallError::unknown(format!("failed to read request body: {error}"))),
            answered = client.call_local_stream(carried(messages, &call.headers)) => answered,
        };
        match answered {
            Ok(response) => first_message(response.into_inner()).await,
            Err(status) if status.code() == Code::Unimplemented => {
                Box::pin(self.call_unary(client, call, replay)).await
            }
            Err(status) => Err(CallError::from_status(&status)),
        }
    }

    /// The way of sidecars that know no streams.
    async fn call_unary(
        &self,
        mut client: Client,
        call: &mut Call,
        body: Option<Payload>,
    ) -> Result<Answer, CallError> {
        let Some(Payload::Bytes(bytes)) = body else {
            return Err(CallError::unknown(
                "target app's sidecar does not support streaming-based service invocation, and the request \
                 cannot be sent again; upgrade that sidecar",
            ));
        };
        let mut head = to_wire_head(call, &Payload::Bytes(bytes.clone()));
        if let Some(message) = head.message.as_mut() {
            message.data = Some(Any {
                type_url: call.type_url.clone(),
                value: bytes.into(),
            });
        }
        let response = client.call_local(carried(head, &call.headers)).await;
        let mut response = response
            .map_err(|status| CallError::from_status(&status))?
            .into_inner();
        let data = response
            .message
            .as_mut()
            .and_then(|message| message.data.as_mut());
        let body = data
            .map(|data| std::mem::take(&mut data.value))
            .unwrap_or_default();
        answer(response, |_| Payload::Bytes(body.into()))
    }
}

/// A request to another sidecar in the trace of its call.
fn carried<T>(message: T, headers: &HeaderMap) -> Request<T> {
    let mut request = Request::new(message);
    tell_sidecar(headers, request.metadata_mut());
    request
}

/// The messages of a call. A request stream cannot carry a failure to read the application's body, so that
/// is told beside it, and the stream stays open until the call is dropped.
fn requests(
    head: InternalInvokeRequest,
    body: Payload,
) -> (
    impl futures_util::Stream<Item = InternalInvokeRequestStream>,
    oneshot::Receiver<BodyError>,
) {
    let (tell, broken) = oneshot::channel();
    let mut tell = Some(tell);
    let messages = Outgoing::new(head, body).filter_map(move |message| {
        let message = match message {
            Ok(message) => Ok(message),
            Err(error) => Err(tell.take().map(|tell| tell.send(error))),
        };
        async move {
            match message {
                Ok(message) => Some(message),
                Err(_) => std::future::pending().await,
            }
        }
    });
    (messages, broken)
}

async fn first_message(
    mut messages: Streaming<InternalInvokeResponseStream>,
) -> Result<Answer, CallError> {
    let first = messages
        .message()
        .await
        .map_err(|status| CallError::from_status(&status))?;
    let incomplete =
        || CallError::unknown("response does not contain the required fields in the leading chunk");
    let first = first.ok_or_else(incomplete)?;
    let response = first
        .response
        .filter(|response| response.status.is_some())
        .ok_or_else(incomplete)?;
    let payload = first.payload;
    answer(response, |length| {
        Payload::arriving(Body::new(
            Incoming::new(payload, messages).with_length(length),
        ))
    })
}

fn answer(
    response: InternalInvokeResponse,
    body: impl FnOnce(Option<u64>) -> Payload,
) -> Result<Answer, CallError> {
    let message = response.message.unwrap_or_default();
    let (headers, origin) = from_wire(response.headers);
    let (trailers, _) = from_wire(response.trailers);
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Answer {
        outcome: Outcome::from_wire(response.status.unwrap_or_default()),
        headers: to_http(headers),
        trailers,
        origin,
        content_type: message.content_type,
        type_url: message.data.unwrap_or_default().type_url,
        body: body(length),
    })
}

/// The head of a call on its way to another sidecar.
pub fn to_wire_head(call: &Call, body: &Payload) -> InternalInvokeRequest {
    let mut metadata = to_wire(&call.headers, call.origin);
    if let (Some(length @ 1..), super::headers::Origin::Http) = (body.known_length(), call.origin) {
        let values = vec![length.to_string()];
        metadata.insert(
            "Content-Length".to_owned(),
            trilby_proto::internals::v1::ListStringValue { values },
        );
    }
    InternalInvokeRequest {
        ver: ApiVersion::V1 as i32,
        metadata,
        message: Some(InvokeRequest {
            method: call.method.clone(),
            data: (!call.type_url.is_empty()).then(|| Any {
                type_url: call.type_url.clone(),
                value: Default::default(),
            }),
            content_type: call.content_type.clone(),
            http_extension: Some(HttpExtension {
                verb: call.verb as i32,
                querystring: call.query.clone(),
            }),
        }),
        actor: None,
    }
}

/// A call as it arrived from another sidecar, without its body.
#[derive(Debug)]
pub struct WireCall {
    /// The call; its body is what the head carried, for unary calls.
    pub call: Call,
    /// The length of the body in bytes, if the caller told it.
    pub length: Option<u64>,
}

/// Reads the head of a call from another sidecar.
///
/// # Errors
/// It has no message, or asks for a version that nobody speaks.
pub fn from_wire_head(head: InternalInvokeRequest) -> Result<WireCall, Status> {
    if head.ver != ApiVersion::V1 as i32 {
        return Err(Status::unimplemented(format!(
            "Unsupported spec version: {}",
            head.ver
        )));
    }
    let missing = "parsing InternalInvokeRequest error: field Message is nil";
    let message = head
        .message
        .ok_or_else(|| Status::invalid_argument(missing))?;
    let (mut headers, origin) = from_wire(head.metadata);
    let length = length_of(&mut headers);
    let extension = message.http_extension.unwrap_or_default();
    let data = message.data.unwrap_or_default();
    let content_type = match data.type_url.as_str() {
        "" => message.content_type,
        _ => "application/x-protobuf".to_owned(),
    };
    let call = Call {
        method: message.method,
        verb: Verb::try_from(extension.verb).unwrap_or(Verb::None),
        query: extension.querystring,
        content_type,
        type_url: data.type_url,
        headers,
        origin,
        body: Payload::Bytes(data.value.into()),
    };
    Ok(WireCall { call, length })
}

fn length_of(headers: &mut HeaderMap) -> Option<u64> {
    headers.remove(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
