//! The details of an error: `google.rpc` messages, which Dapr's SDKs decode.

use std::collections::BTreeMap;

use prost_types::Any;
use serde_json::{Value, json};
use trilby_grpc::rpc::{self, pack, type_url};

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
    /// Why, as a constant that a component defines.
    ComponentInfo {
        /// The constant.
        reason: String,
        /// What defines it.
        domain: String,
    },
    /// Which resource.
    ResourceInfo {
        /// Its kind, such as `state`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is the matter with it; empty for nothing beyond the message.
        description: String,
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
                "@type": type_url::<rpc::ErrorInfo>(), "reason": reason, "domain": DOMAIN, "metadata": metadata,
            }),
            Self::ComponentInfo { reason, domain } => json!({
                "@type": type_url::<rpc::ErrorInfo>(), "reason": reason, "domain": domain, "metadata": null,
            }),
            Self::ResourceInfo {
                kind,
                name,
                description,
            } => json!({
                "@type": type_url::<rpc::ResourceInfo>(), "resource_type": kind, "resource_name": name,
                "owner": "", "description": description,
            }),
            Self::FieldViolation { field, description } => json!({
                "@type": type_url::<rpc::BadRequest>(),
                "field_violations": [{ "field": field, "description": description }],
            }),
            Self::Help { url, description } => json!({
                "@type": type_url::<rpc::Help>(), "links": [{ "url": url, "description": description }],
            }),
        }
    }

    /// The form in a gRPC status.
    pub(crate) fn any(&self) -> Any {
        match self {
            Self::ErrorInfo { reason, metadata } => pack(&rpc::ErrorInfo {
                reason: reason.clone(),
                domain: DOMAIN.to_owned(),
                metadata: metadata.clone(),
            }),
            Self::ComponentInfo { reason, domain } => pack(&rpc::ErrorInfo {
                reason: reason.clone(),
                domain: domain.clone(),
                metadata: BTreeMap::new(),
            }),
            Self::ResourceInfo {
                kind,
                name,
                description,
            } => pack(&rpc::ResourceInfo {
                resource_type: (*kind).to_owned(),
                resource_name: name.clone(),
                owner: String::new(),
                description: description.clone(),
            }),
            Self::FieldViolation { field, description } => pack(&rpc::BadRequest {
                field_violations: vec![rpc::FieldViolation {
                    field: field.clone(),
                    description: description.clone(),
                }],
            }),
            Self::Help { url, description } => pack(&rpc::Help {
                links: vec![rpc::Link {
                    description: (*description).to_owned(),
                    url: (*url).to_owned(),
                }],
            }),
        }
    }
}
