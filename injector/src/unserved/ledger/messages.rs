//! What the ledger tells, and is told.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::time::Instant;

use crate::unserved::judgement::Reason;

/// Names a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::unserved) struct Key {
    pub(in crate::unserved) namespace: Box<str>,
    pub(in crate::unserved) name: Box<str>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::unserved) enum News {
    /// A pod lacks its sidecar.
    Lacking {
        pod: Key,
        uid: Box<str>,
        reason: Reason,
        /// Whether it will be evicted.
        repaired: bool,
        /// Its controller, unless that was told already.
        owner: Option<OwnerReference>,
    },
    /// Pods of this controller come back without.
    InVain {
        namespace: Box<str>,
        owner: OwnerReference,
        /// How long it is left alone.
        rest: Duration,
    },
}

/// A pod that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::unserved) struct Candidate {
    pub(in crate::unserved) pod: Key,
    pub(in crate::unserved) uid: Box<str>,
    /// Its controller's UID.
    pub(super) owner: Box<str>,
}

/// What became of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unserved) enum Outcome {
    /// The pod goes.
    Evicted,
    /// It is not there any more.
    Gone,
    /// A disruption budget keeps it.
    Blocked,
    /// The API server refused for another reason, or did not answer.
    Failed,
}

/// What to do next about repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::unserved) enum Next {
    /// Evict this pod, now.
    Evict(Candidate),
    /// Nothing before this moment.
    At(Instant),
    /// Nothing, unless something happens.
    Nothing,
}
