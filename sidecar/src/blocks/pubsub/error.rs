//! What the publish API answers when it fails: codes and texts that SDKs know.

use http::StatusCode;
use tonic::Code;
use trilby_components::RequestMetadata;

use crate::error::{ApiError, Detail};

/// The block, as details name it.
const KIND: &str = "pubsub";

/// What every failure of a publication is about.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The component.
    pub pubsub: &'a str,
    /// The topic.
    pub topic: &'a str,
}

/// The constants of one failure, and how it is answered.
struct Tag {
    code: &'static str,
    reason: &'static str,
    http: StatusCode,
    grpc: Code,
}

impl Tag {
    fn error(&self, message: String, metadata: RequestMetadata) -> ApiError {
        let info = Detail::ErrorInfo {
            reason: self.reason.to_owned(),
            metadata,
        };
        ApiError::new(self.code, self.http, self.grpc, message).with(info)
    }

    fn named(&self, pubsub: &str, message: String, metadata: RequestMetadata) -> ApiError {
        let resource = Detail::ResourceInfo {
            kind: KIND,
            name: pubsub.to_owned(),
            description: message.clone(),
        };
        let info = Detail::ErrorInfo {
            reason: self.reason.to_owned(),
            metadata,
        };
        ApiError::new(self.code, self.http, self.grpc, message)
            .with(resource)
            .with(info)
    }
}

/// There is no such component; `why` if it is there and does not serve.
pub(in crate::blocks) fn not_found(
    pubsub: &str,
    why: Option<&str>,
    metadata: RequestMetadata,
) -> ApiError {
    let tag = Tag {
        code: "ERR_PUBSUB_NOT_FOUND",
        reason: "DAPR_PUBSUB_NOT_FOUND",
        http: StatusCode::NOT_FOUND,
        grpc: Code::InvalidArgument,
    };
    let message = match why {
        None => format!("pubsub {pubsub} is not found"),
        Some(why) => format!("pubsub {pubsub} is not found: it did not start: {why}"),
    };
    tag.error(message, metadata)
}

/// No component is named.
pub(super) fn name_empty(metadata: RequestMetadata) -> ApiError {
    let tag = Tag {
        code: "ERR_PUBSUB_EMPTY",
        reason: "DAPR_PUBSUB_NAME_EMPTY",
        http: StatusCode::NOT_FOUND,
        grpc: Code::InvalidArgument,
    };
    tag.named("", "pubsub name is empty".to_owned(), metadata)
}

/// No topic is named.
pub(super) fn topic_empty(pubsub: &str, metadata: RequestMetadata) -> ApiError {
    let tag = Tag {
        code: "ERR_TOPIC_NAME_EMPTY",
        reason: "DAPR_PUBSUB_TOPIC_NAME_EMPTY",
        http: StatusCode::NOT_FOUND,
        grpc: Code::InvalidArgument,
    };
    let message = format!("topic is empty in pubsub {pubsub}");
    tag.named(pubsub, message, metadata)
}

/// The metadata cannot be understood.
pub(super) fn metadata_invalid(
    pubsub: &str,
    why: impl std::fmt::Display,
    metadata: RequestMetadata,
) -> ApiError {
    let tag = Tag {
        code: "ERR_PUBSUB_REQUEST_METADATA",
        reason: "DAPR_PUBSUB_METADATA_DESERIALIZATION",
        http: StatusCode::BAD_REQUEST,
        grpc: Code::InvalidArgument,
    };
    let message = format!("failed deserializing metadata. Error: {why}");
    tag.named(pubsub, message, metadata)
}

/// What is published is no event, although it says so.
pub(super) fn no_cloud_event(pubsub: &str, app_id: &str, why: impl std::fmt::Display) -> ApiError {
    let tag = Tag {
        code: "ERR_PUBSUB_CLOUD_EVENTS_SER",
        reason: "DAPR_PUBSUB_CLOUD_EVENT_CREATION",
        http: StatusCode::INTERNAL_SERVER_ERROR,
        grpc: Code::InvalidArgument,
    };
    let message = "cannot create cloudevent".to_owned();
    tag.named(pubsub, message, about_app(app_id, Some(why.to_string())))
}

/// An entry's event does not fit its content type.
pub fn entry_invalid(place: Place<'_>, app_id: &str, why: impl std::fmt::Display) -> ApiError {
    let Place { pubsub, topic } = place;
    let tag = Tag {
        code: "ERR_PUBSUB_EVENTS_SER",
        reason: "DAPR_PUBSUB_MARSHAL_ENVELOPE",
        http: StatusCode::BAD_REQUEST,
        grpc: Code::InvalidArgument,
    };
    let message = format!(
        "error when marshalling cloud event envelope for topic {topic} pubsub {pubsub}: {why}"
    );
    tag.named(pubsub, message, about_app(app_id, Some(why.to_string())))
}

/// An entry's id is missing, or another's.
pub fn entry_id_invalid(place: Place<'_>, app_id: &str) -> ApiError {
    let Place { pubsub, topic } = place;
    let tag = Tag {
        code: "ERR_PUBSUB_EVENTS_SER",
        reason: "DAPR_PUBSUB_MARSHAL_EVENTS",
        http: StatusCode::BAD_REQUEST,
        grpc: Code::InvalidArgument,
    };
    let why = "entryId is duplicated or not present for entry";
    let message =
        format!("error marshaling events to bytes for topic {topic} pubsub {pubsub}. error: {why}");
    tag.named(pubsub, message, about_app(app_id, Some(why.to_owned())))
}

/// The body is no list of entries.
pub fn entries_invalid(place: Place<'_>, app_id: &str, why: impl std::fmt::Display) -> ApiError {
    let Place { pubsub, topic } = place;
    let tag = Tag {
        code: "ERR_PUBSUB_EVENTS_SER",
        reason: "DAPR_PUBSUB_UNMARSHAL_EVENTS",
        http: StatusCode::BAD_REQUEST,
        grpc: Code::InvalidArgument,
    };
    let message =
        format!("error when unmarshaling the request for topic {topic} pubsub {pubsub}: {why}");
    tag.named(pubsub, message, about_app(app_id, None))
}

/// The application may not publish there.
pub(super) fn forbidden(place: Place<'_>, app_id: &str) -> ApiError {
    let Place { pubsub, topic } = place;
    let tag = Tag {
        code: "ERR_PUBSUB_FORBIDDEN",
        reason: "DAPR_PUBSUB_FORBIDDEN",
        http: StatusCode::FORBIDDEN,
        grpc: Code::PermissionDenied,
    };
    let message = format!("topic {topic} is not allowed for app id {app_id}");
    tag.named(pubsub, message.clone(), about_topic(topic, message))
}

/// The broker does not take it.
pub(super) fn publish_failed(place: Place<'_>, why: impl std::fmt::Display) -> ApiError {
    let Place { pubsub, topic } = place;
    let tag = Tag {
        code: "ERR_PUBSUB_PUBLISH_MESSAGE",
        reason: "DAPR_PUBSUB_PUBLISH_MESSAGE",
        http: StatusCode::INTERNAL_SERVER_ERROR,
        grpc: Code::Internal,
    };
    let message = format!("error when publishing to topic {topic} in pubsub {pubsub}: {why}");
    tag.named(pubsub, message, about_topic(topic, why.to_string()))
}

fn about_app(app_id: &str, error: Option<String>) -> RequestMetadata {
    let app = ("appID".to_owned(), app_id.to_owned());
    let error = error.map(|error| ("error".to_owned(), error));
    std::iter::once(app).chain(error).collect()
}

fn about_topic(topic: &str, error: String) -> RequestMetadata {
    [
        ("topic".to_owned(), topic.to_owned()),
        ("error".to_owned(), error),
    ]
    .into()
}
