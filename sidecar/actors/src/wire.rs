//! Actor calls between sidecars, as the internal protocol has them.

use bytes::Bytes;
use prost_types::Any;
use tonic::Status;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest, InvokeResponse};
use trilby_proto::internals::v1::{
    Actor, ApiVersion, InternalInvokeRequest, InternalInvokeResponse, ListStringValue,
    Status as CallStatus,
};

use crate::{ActorKey, ActorRequest, ActorResponse, HttpCall, Metadata};

/// What a callee answers when the actor lives elsewhere by then. Part of the protocol: callers look up again.
pub(crate) const ACTOR_MOVED: &str = "remote actor moved";

impl From<ActorRequest> for InternalInvokeRequest {
    fn from(request: ActorRequest) -> Self {
        let http = request.http.map(|http| HttpExtension {
            verb: Verb::from_str_name(&http.verb).unwrap_or(Verb::None).into(),
            querystring: http.query,
        });
        Self {
            ver: ApiVersion::V1.into(),
            metadata: to_wire(request.metadata),
            message: Some(InvokeRequest {
                method: request.method,
                data: Some(any(request.data)),
                content_type: request.content_type,
                http_extension: http,
            }),
            actor: Some(Actor {
                actor_type: request.actor.actor_type.to_string(),
                actor_id: request.actor.actor_id.to_string(),
            }),
        }
    }
}

impl TryFrom<InternalInvokeRequest> for ActorRequest {
    type Error = Status;

    fn try_from(request: InternalInvokeRequest) -> Result<Self, Status> {
        let actor = request
            .actor
            .ok_or_else(|| Status::invalid_argument("actor is nil in the request"))?;
        let message = request
            .message
            .ok_or_else(|| Status::invalid_argument("message is nil in the request"))?;
        let http = message.http_extension.map(|http| HttpCall {
            verb: http.verb().as_str_name().to_owned(),
            query: http.querystring,
        });
        Ok(Self {
            actor: ActorKey::new(actor.actor_type, actor.actor_id),
            method: message.method,
            http,
            content_type: message.content_type,
            metadata: from_wire(request.metadata),
            data: message
                .data
                .map(|data| data.value.into())
                .unwrap_or_default(),
        })
    }
}

impl From<ActorResponse> for InternalInvokeResponse {
    fn from(response: ActorResponse) -> Self {
        Self {
            status: Some(CallStatus {
                code: i32::from(response.status),
                ..CallStatus::default()
            }),
            headers: to_wire(response.headers),
            trailers: Default::default(),
            message: Some(InvokeResponse {
                data: Some(any(response.data)),
                content_type: response.content_type,
            }),
        }
    }
}

impl From<InternalInvokeResponse> for ActorResponse {
    fn from(response: InternalInvokeResponse) -> Self {
        let code = response.status.map_or(0, |status| status.code);
        let message = response.message.unwrap_or_default();
        Self {
            // Below 100 it is a gRPC code, which says no more than that the app answered.
            status: u16::try_from(code)
                .ok()
                .filter(|status| *status >= 100)
                .unwrap_or(200),
            headers: from_wire(response.headers),
            content_type: message.content_type,
            data: message
                .data
                .map(|data| Bytes::from(data.value))
                .unwrap_or_default(),
        }
    }
}

fn any(data: Bytes) -> Any {
    Any {
        type_url: String::new(),
        value: data.into(),
    }
}

fn to_wire(metadata: Metadata) -> std::collections::HashMap<String, ListStringValue> {
    let value = |values| ListStringValue { values };
    metadata
        .into_iter()
        .map(|(name, values)| (name, value(values)))
        .collect()
}

fn from_wire(metadata: std::collections::HashMap<String, ListStringValue>) -> Metadata {
    metadata
        .into_iter()
        .map(|(name, list)| (name, list.values))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_survives_the_way() {
        let request = ActorRequest {
            http: Some(HttpCall {
                verb: "POST".into(),
                query: "a=b".into(),
            }),
            content_type: "text/plain".into(),
            metadata: Metadata::from([("X-A".into(), vec!["1".into(), "2".into()])]),
            data: Bytes::from_static(b"hello"),
            ..ActorRequest::new(ActorKey::new("cat", "1"), "purr")
        };
        let there = InternalInvokeRequest::from(request.clone());
        assert_eq!(ActorRequest::try_from(there).unwrap(), request);
    }

    #[test]
    fn an_answer_survives_the_way() {
        let response = ActorResponse {
            status: 200,
            headers: Metadata::from([("X-B".into(), vec!["3".into()])]),
            content_type: String::new(),
            data: Bytes::from_static(b"purr"),
        };
        let there = InternalInvokeResponse::from(response.clone());
        assert_eq!(ActorResponse::from(there), response);
    }

    #[test]
    fn a_call_without_an_actor_is_refused_by_name() {
        let status = ActorRequest::try_from(InternalInvokeRequest::default()).unwrap_err();
        assert_eq!(status.message(), "actor is nil in the request");
    }
}
