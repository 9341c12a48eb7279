//! The part of `google/rpc/error_details.proto` that travels in the details of a status. It is no service of Dapr's, so
//! it stands here and not in the wire contract.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;

/// A message of `google.rpc`.
pub trait Named {
    /// Its name there.
    const NAME: &'static str;
}

/// Why, as a constant that programs compare.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ErrorInfo {
    /// The constant.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Who defines it.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// What it is about.
    #[prost(btree_map = "string, string", tag = "3")]
    pub metadata: BTreeMap<String, String>,
}

/// Which resource.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceInfo {
    /// Its kind.
    #[prost(string, tag = "1")]
    pub resource_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub resource_name: String,
    /// Whose it is.
    #[prost(string, tag = "3")]
    pub owner: String,
    /// What is wrong with it.
    #[prost(string, tag = "4")]
    pub description: String,
}

/// Which fields of a request are wrong.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BadRequest {
    /// The fields.
    #[prost(message, repeated, tag = "1")]
    pub field_violations: Vec<FieldViolation>,
}

/// One of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FieldViolation {
    /// The field.
    #[prost(string, tag = "1")]
    pub field: String,
    /// What is wrong with it.
    #[prost(string, tag = "2")]
    pub description: String,
}

/// Where to read on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Help {
    /// The addresses.
    #[prost(message, repeated, tag = "1")]
    pub links: Vec<Link>,
}

/// One address.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    /// What one finds there.
    #[prost(string, tag = "1")]
    pub description: String,
    /// The address.
    #[prost(string, tag = "2")]
    pub url: String,
}

/// `google.rpc.Status`, the content of `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The text for people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Messages, most often those of this module.
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

/// A message as a detail.
pub fn pack<M: Message + Named>(message: &M) -> Any {
    Any {
        type_url: type_url::<M>(),
        value: message.encode_to_vec(),
    }
}

/// A detail as a message; `None` when it is another one, or cannot be read.
#[must_use]
pub fn unpack<M: Message + Named + Default>(detail: &Any) -> Option<M> {
    let (_, name) = detail.type_url.rsplit_once('/')?;
    let is_one = name.strip_prefix("google.rpc.") == Some(M::NAME);
    is_one.then(|| M::decode(&*detail.value).ok()).flatten()
}

/// What a detail says it is.
#[must_use]
pub fn type_url<M: Named>() -> String {
    format!("type.googleapis.com/google.rpc.{}", M::NAME)
}
