//! The details of an error: `google.rpc` messages, which Dapr's SDKs decode.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};

use super::DOMAIN;

/// One detail of an [`ApiError`](super::ApiError).
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Why, as a constant that programs compare.
    ErrorInfo {
        /// The constant.
        reason: String,
        /// What it is about.
        metadata: BTreeMap<String, String>,
    },
    /// Which resource.
    ResourceInfo {
        /// Its kind, such as `state`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A field of the request that is wrong.
    FieldViolation {
        /// The field, or the key that was given.
        field: String,
        /// What is wrong with it.
        description: String,
    },
    /// Where to read on.
    Help {
        /// The address.
        url: &'static str,
        /// What one finds there.
        description: &'static str,
    },
}

impl Detail {
    /// An `ErrorInfo` of the sidecar's domain.
    pub fn error_info<const N: usize>(reason: &str, metadata: [(&str, String); N]) -> Self {
        let metadata = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        Self::ErrorInfo {
            reason: reason.to_owned(),
            metadata,
        }
    }

    /// The form in an HTTP body: snake_case keys.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::ErrorInfo { reason, metadata } => json!({
                "@type": type_url::<wire::ErrorInfo>(), "reason": reason, "domain": DOMAIN, "metadata": metadata,
            }),
            Self::ResourceInfo { kind, name } => json!({
                "@type": type_url::<wire::ResourceInfo>(), "resource_type": kind, "resource_name": name,
                "owner": "", "description": "",
            }),
            Self::FieldViolation { field, description } => json!({
                "@type": type_url::<wire::BadRequest>(),
                "field_violations": [{ "field": field, "description": description }],
            }),
            Self::Help { url, description } => json!({
                "@type": type_url::<wire::Help>(), "links": [{ "url": url, "description": description }],
            }),
        }
    }

    /// The form in a gRPC status.
    pub(crate) fn any(&self) -> Any {
        match self {
            Self::ErrorInfo { reason, metadata } => pack(&wire::ErrorInfo {
                reason: reason.clone(),
                domain: DOMAIN.to_owned(),
                metadata: metadata.clone(),
            }),
            Self::ResourceInfo { kind, name } => pack(&wire::ResourceInfo {
                resource_type: (*kind).to_owned(),
                resource_name: name.clone(),
                owner: String::new(),
                description: String::new(),
            }),
            Self::FieldViolation { field, description } => pack(&wire::BadRequest {
                field_violations: vec![wire::FieldViolation {
                    field: field.clone(),
                    description: description.clone(),
                }],
            }),
            Self::Help { url, description } => pack(&wire::Help {
                links: vec![wire::Link {
                    description: (*description).to_owned(),
                    url: (*url).to_owned(),
                }],
            }),
        }
    }
}

fn pack<M: Message + wire::Named>(message: &M) -> Any {
    Any {
        type_url: type_url::<M>(),
        value: message.encode_to_vec(),
    }
}

fn type_url<M: wire::Named>() -> String {
    format!("type.googleapis.com/google.rpc.{}", M::NAME)
}

/// The part of `google/rpc/error_details.proto` that the sidecar sends. It is no service of Dapr's, so
/// it stands here and not in the wire contract.
pub(super) mod wire {
    use std::collections::BTreeMap;

    /// The message's name inside `google.rpc`.
    pub(crate) trait Named {
        const NAME: &'static str;
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct ErrorInfo {
        #[prost(string, tag = "1")]
        pub reason: String,
        #[prost(string, tag = "2")]
        pub domain: String,
        #[prost(btree_map = "string, string", tag = "3")]
        pub metadata: BTreeMap<String, String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct ResourceInfo {
        #[prost(string, tag = "1")]
        pub resource_type: String,
        #[prost(string, tag = "2")]
        pub resource_name: String,
        #[prost(string, tag = "3")]
        pub owner: String,
        #[prost(string, tag = "4")]
        pub description: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct BadRequest {
        #[prost(message, repeated, tag = "1")]
        pub field_violations: Vec<FieldViolation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct FieldViolation {
        #[prost(string, tag = "1")]
        pub field: String,
        #[prost(string, tag = "2")]
        pub description: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Help {
        #[prost(message, repeated, tag = "1")]
        pub links: Vec<Link>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Link {
        #[prost(string, tag = "1")]
        pub description: String,
        #[prost(string, tag = "2")]
        pub url: String,
    }

    /// `google.rpc.Status`, the content of `grpc-status-details-bin`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Status {
        #[prost(int32, tag = "1")]
        pub code: i32,
        #[prost(string, tag = "2")]
        pub message: String,
        #[prost(message, repeated, tag = "3")]
        pub details: Vec<prost_types::Any>,
    }

    impl Named for ErrorInfo {
        const NAME: &'static str = "ErrorInfo";
    }
    impl Named for ResourceInfo {
        const NAME: &'static str = "ResourceInfo";
    }
    impl Named for BadRequest {
        const NAME: &'static str = "BadRequest";
    }
    impl Named for Help {
        const NAME: &'static str = "Help";
    }
}
