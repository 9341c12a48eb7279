//! What the sidecar answers when it cannot do what an application asked.
//!
//! [`ApiError`] is the only error that the HTTP and gRPC APIs encode: blocks build it, the APIs turn it
//! into JSON or a status. Its code, HTTP status, gRPC code and text are contracts with Dapr's SDKs.

pub mod codes;
mod details;
mod status;

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tonic::Code;

pub use details::Detail;
pub use status::{http_status_of, reason_in, status_of_http};
pub use trilby_grpc::status::{
    code_name as metric_name, describe, details_of as status_details,
    with_details as status_with_details,
};

/// The domain of every `ErrorInfo` that the sidecar sends.
pub const DOMAIN: &str = "dapr.io";

/// A refusal or failure, in the words of Dapr's API.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Cow<'static, str>,
    http: StatusCode,
    grpc: Code,
    message: String,
    details: Vec<Detail>,
    reason_in_grpc: bool,
    over_grpc: Option<Box<Words>>,
}

/// What an error says over gRPC, where that differs from what it says over HTTP.
#[derive(Debug, Clone)]
struct Words {
    message: String,
    details: Vec<Detail>,
}

impl ApiError {
    /// An error without details: `code` is the `errorCode` of the HTTP body.
    pub fn new(
        code: impl Into<Cow<'static, str>>,
        http: StatusCode,
        grpc: Code,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            http,
            grpc,
            message: message.into(),
            details: Vec::new(),
            reason_in_grpc: false,
            over_grpc: None,
        }
    }

    /// Adds a detail, which both APIs send.
    #[must_use]
    pub fn with(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    /// Sends the code as `ErrorInfo.reason` over gRPC; the HTTP body stays without details.
    #[must_use]
    pub fn reasoned(mut self) -> Self {
        self.reason_in_grpc = true;
        self
    }

    /// Says something else over gRPC, in the place of everything.
    #[must_use]
    pub fn over_grpc(mut self, message: String, details: Vec<Detail>) -> Self {
        self.over_grpc = Some(Box::new(Words { message, details }));
        self
    }

    /// Replaces the HTTP status, where one code is answered with several.
    #[must_use]
    pub fn with_http(mut self, http: StatusCode) -> Self {
        self.http = http;
        self
    }

    /// The request cannot be understood.
    pub fn bad_request(message: impl fmt::Display) -> Self {
        let text = format!("invalid request: {message}");
        Self::new(
            "ERR_BAD_REQUEST",
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            text,
        )
    }

    /// The body is not what the route decodes.
    pub fn malformed(message: impl fmt::Display) -> Self {
        let text = format!("failed deserializing HTTP body: {message}");
        Self::malformed_verbatim(text)
    }

    /// The body is not what the route decodes; the text is used as it is.
    pub fn malformed_verbatim(message: impl Into<String>) -> Self {
        Self::new(
            "ERR_MALFORMED_REQUEST",
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            message,
        )
    }

    /// The body could not be read (too large, or the client went away).
    pub fn body_read(message: impl fmt::Display) -> Self {
        let text = format!("failed to read request body: {message}");
        Self::new(
            "ERR_BODY_READ",
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            text,
        )
    }

    /// Upstream serves this API, this sidecar does not yet; `feature` names it.
    pub fn not_there_yet(feature: &str) -> Self {
        let text =
            format!("this API is currently not implemented: {feature} is not there yet in Trilby");
        Self::new(
            "ERR_API_UNIMPLEMENTED",
            StatusCode::NOT_IMPLEMENTED,
            Code::Unimplemented,
            text,
        )
    }

    /// The `errorCode` of the HTTP body.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// As [`Self::code`], to keep.
    pub(crate) fn owned_code(&self) -> Cow<'static, str> {
        self.code.clone()
    }

    /// The HTTP status.
    pub fn http(&self) -> StatusCode {
        self.http
    }

    /// The gRPC code.
    pub fn grpc(&self) -> Code {
        self.grpc
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP body, its fields in upstream's order.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            error_code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            details: Vec<Value>,
        }
        let body = Body {
            error_code: &self.code,
            message: &self.message,
            details: self.details.iter().map(Detail::json).collect(),
        };
        // Text and numbers only: it cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The gRPC status, with the details in `grpc-status-details-bin`.
    pub fn status(&self) -> tonic::Status {
        if let Some(words) = &self.over_grpc {
            let details = words.details.iter().map(Detail::any).collect();
            return status_with_details(self.grpc, &words.message, details);
        }
        let mut details: Vec<_> = self.details.iter().map(Detail::any).collect();
        if self.reason_in_grpc {
            details.push(Detail::error_info(&self.code, []).any());
        }
        status_with_details(self.grpc, &self.message, details)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for tonic::Status {
    fn from(error: ApiError) -> Self {
        error.status()
    }
}

#[cfg(test)]
mod tests;
