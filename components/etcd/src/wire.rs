//! The messages of etcd's v3 API that are used, as far as they are (`etcdserverpb`, `mvccpb`).

use bytes::Bytes;
use prost::{Message, Oneof};

/// The state of the cluster that answered.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ResponseHeader {
    #[prost(int64, tag = "3")]
    pub(crate) revision: i64,
}

/// A key and what is at it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    /// The revision that wrote it last.
    #[prost(int64, tag = "3")]
    pub(crate) mod_revision: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) value: Bytes,
    /// With which it goes; 0 for none.
    #[prost(int64, tag = "6")]
    pub(crate) lease: i64,
}

/// Asks for one key, or for those from `key` up to, but without, `range_end`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) range_end: Bytes,
    /// 0 for none.
    #[prost(int64, tag = "3")]
    pub(crate) limit: i64,
    /// The revision to look at; 0 for the newest.
    #[prost(int64, tag = "4")]
    pub(crate) revision: i64,
    #[prost(bool, tag = "8")]
    pub(crate) keys_only: bool,
}

/// The keys that there are, in their order.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) kvs: Vec<KeyValue>,
    /// Whether there are more than the limit let through.
    #[prost(bool, tag = "3")]
    pub(crate) more: bool,
}

/// Writes a key.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
    /// With which the key goes; 0 for none.
    #[prost(int64, tag = "3")]
    pub(crate) lease: i64,
}

/// Removes a key.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct DeleteRangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) key: Bytes,
}

/// One operation of a transaction.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RequestOp {
    #[prost(oneof = "Request", tags = "1, 2, 3")]
    pub(crate) request: Option<Request>,
}

/// What a [`RequestOp`] is.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    DeleteRange(DeleteRangeRequest),
}

/// What one operation of a transaction gave, where that is of interest.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ResponseOp {
    #[prost(message, optional, tag = "1")]
    pub(crate) range: Option<RangeResponse>,
}

/// What is asked of a key: that this revision wrote it last, 0 where there is no such key; or that it is there with this
/// value.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Compare {
    /// [`EQUAL`].
    #[prost(int32, tag = "1")]
    pub(crate) result: i32,
    /// [`MOD`] or [`VALUE`].
    #[prost(int32, tag = "2")]
    pub(crate) target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    /// Written also where it is 0, as a member of a `oneof` is.
    #[prost(int64, optional, tag = "6")]
    pub(crate) mod_revision: Option<i64>,
    /// Written also where it is empty.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub(crate) value: Option<Bytes>,
}

/// Of `Compare.CompareResult`.
const EQUAL: i32 = 0;
/// Of `Compare.CompareTarget`.
const MOD: i32 = 2;
/// Of `Compare.CompareTarget`.
const VALUE: i32 = 3;

impl Compare {
    /// That `key` was written last by `revision`.
    pub(crate) fn to_revision(key: Bytes, revision: i64) -> Self {
        Self {
            result: EQUAL,
            target: MOD,
            key,
            mod_revision: Some(revision),
            value: None,
        }
    }

    /// That `key` is there, with this value.
    pub(crate) fn to_value(key: Bytes, value: Bytes) -> Self {
        Self {
            result: EQUAL,
            target: VALUE,
            key,
            mod_revision: None,
            value: Some(value),
        }
    }
}

/// `success` if all of `compare` is true, else `failure`; all at one revision.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) success: Vec<RequestOp>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) failure: Vec<RequestOp>,
}

/// Which of the two it was, and what its operations gave.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct TxnResponse {
    #[prost(bool, tag = "2")]
    pub(crate) succeeded: bool,
    #[prost(message, repeated, tag = "3")]
    pub(crate) responses: Vec<ResponseOp>,
}

/// Asks for a lease of so many seconds, with an id of the server's choice.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LeaseGrantRequest {
    #[prost(int64, tag = "1")]
    pub(crate) ttl: i64,
}

/// The lease.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LeaseGrantResponse {
    #[prost(int64, tag = "2")]
    pub(crate) id: i64,
}

/// Ends a lease, and every key that goes with it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LeaseRevokeRequest {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
}

/// Says nothing.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LeaseRevokeResponse {}

/// A call of the API: which message goes where, and what comes back.
pub(crate) trait Call: Message + Clone + 'static {
    /// What it is answered with.
    type Response: Message + Default + 'static;
    /// The method's path.
    const PATH: &'static str;
    /// Whether it changes nothing, so that it may be made again.
    const REPEATABLE: bool;
}

impl Call for RangeRequest {
    type Response = RangeResponse;
    const PATH: &'static str = "/etcdserverpb.KV/Range";
    const REPEATABLE: bool = true;
}

impl Call for TxnRequest {
    type Response = TxnResponse;
    const PATH: &'static str = "/etcdserverpb.KV/Txn";
    const REPEATABLE: bool = false;
}

/// Twice, it only makes a lease that nobody uses, and that ends by itself.
impl Call for LeaseGrantRequest {
    type Response = LeaseGrantResponse;
    const PATH: &'static str = "/etcdserverpb.Lease/LeaseGrant";
    const REPEATABLE: bool = true;
}

impl Call for LeaseRevokeRequest {
    type Response = LeaseRevokeResponse;
    const PATH: &'static str = "/etcdserverpb.Lease/LeaseRevoke";
    const REPEATABLE: bool = true;
}
