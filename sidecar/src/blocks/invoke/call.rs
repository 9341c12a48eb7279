//! One invocation, whatever API it came through and whatever protocol the callee speaks.

use http::{HeaderMap, Method, StatusCode};
use prost_types::Any;
use tonic::{Code, Status};
use trilby_proto::common::v1::http_extension::Verb;

use super::headers::Origin;
use crate::error::{http_status_of, status_of_http};
use crate::payload::Payload;

/// A request to an application.
#[derive(Debug)]
pub struct Call {
    /// The method: a path without a leading slash, or a gRPC method name.
    pub method: String,
    /// The HTTP verb.
    pub verb: Verb,
    /// The query string, without `?`.
    pub query: String,
    /// The type of the body; empty when not given.
    pub content_type: String,
    /// The protobuf type of the body, for gRPC applications; usually empty.
    pub type_url: String,
    /// Headers or metadata.
    pub headers: HeaderMap,
    /// The API through which the call entered.
    pub origin: Origin,
    /// The content.
    pub body: Payload,
}

impl Call {
    /// The call again, if its body is in memory.
    pub fn replay(&self) -> Option<Self> {
        Some(Self {
            method: self.method.clone(),
            verb: self.verb,
            query: self.query.clone(),
            content_type: self.content_type.clone(),
            type_url: self.type_url.clone(),
            headers: self.headers.clone(),
            origin: self.origin,
            body: self.body.replay()?,
        })
    }
}

/// How the application ended a call.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// An HTTP status.
    Http(StatusCode),
    /// A gRPC status.
    Grpc {
        /// The code.
        code: Code,
        /// The text.
        message: String,
        /// Its details.
        details: Vec<Any>,
    },
}

impl Outcome {
    /// From a status code on the wire: 100 and above is HTTP, below is gRPC.
    pub fn from_wire(status: trilby_proto::internals::v1::Status) -> Self {
        match u16::try_from(status.code)
            .ok()
            .filter(|code| *code >= 100)
            .map(StatusCode::from_u16)
        {
            Some(Ok(http)) => Self::Http(http),
            Some(Err(_)) => Self::Http(StatusCode::INTERNAL_SERVER_ERROR),
            None => Self::Grpc {
                code: Code::from_i32(status.code),
                message: status.message,
                details: status.details,
            },
        }
    }

    /// The status on the wire.
    pub fn to_wire(&self) -> trilby_proto::internals::v1::Status {
        match self {
            Self::Http(status) => trilby_proto::internals::v1::Status {
                code: i32::from(status.as_u16()),
                ..Default::default()
            },
            Self::Grpc {
                code,
                message,
                details,
            } => trilby_proto::internals::v1::Status {
                code: *code as i32,
                message: message.clone(),
                details: details.clone(),
            },
        }
    }

    /// The HTTP status that an HTTP caller sees.
    pub fn http(&self) -> StatusCode {
        match self {
            Self::Http(status) => *status,
            Self::Grpc { code, .. } => http_status_of(*code),
        }
    }

    /// The gRPC code that a gRPC caller sees.
    pub fn grpc(&self) -> Code {
        match self {
            Self::Http(status) => status_of_http(*status),
            Self::Grpc { code, .. } => *code,
        }
    }

    /// The number that metrics carry.
    pub fn number(&self) -> i32 {
        match self {
            Self::Http(status) => i32::from(status.as_u16()),
            Self::Grpc { code, .. } => *code as i32,
        }
    }
}

/// What an application answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// Headers or metadata.
    pub headers: HeaderMap,
    /// Trailing metadata of a gRPC application.
    pub trailers: HeaderMap,
    /// The protocol of the application that answered.
    pub origin: Origin,
    /// The type of the body; empty when not given.
    pub content_type: String,
    /// The protobuf type of the body; usually empty.
    pub type_url: String,
    /// The content.
    pub body: Payload,
}

/// A call that reached no application, or whose application gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind of failure.
    pub code: Code,
    /// The text that the caller's message contains.
    pub message: String,
}

impl CallError {
    /// A failure without a gRPC status of its own.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self {
            code: Code::Unknown,
            message: message.into(),
        }
    }

    /// A failure that another sidecar or application reported, in the words of Go's gRPC.
    pub fn from_status(status: &Status) -> Self {
        Self {
            code: status.code(),
            message: crate::error::describe(status),
        }
    }

    /// A failure found here that upstream reports as a status.
    pub fn status(code: Code, message: impl Into<String>) -> Self {
        Self::from_status(&Status::new(code, message))
    }
}

/// The verb on the wire; one that the protocol does not know is sent as POST, as upstream does.
pub fn verb_of(method: &Method) -> Verb {
    Verb::from_str_name(method.as_str())
        .filter(|verb| *verb != Verb::None)
        .unwrap_or(Verb::Post)
}

/// The HTTP method of a verb.
///
/// # Errors
/// `NONE` and `CONNECT` cannot be sent to an application.
pub fn method_of(verb: Verb) -> Result<Method, CallError> {
    match verb {
        Verb::None | Verb::Connect => Err(CallError::status(
            Code::InvalidArgument,
            "invalid HTTP verb",
        )),
        verb => {
            Ok(Method::from_bytes(verb.as_str_name().as_bytes()).expect("verbs are HTTP methods"))
        }
    }
}
