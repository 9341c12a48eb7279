//! Kubernetes Events of the operator.

use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use trilby_events::{News, Reporter};

/// The Event that tells it of this object.
pub(crate) fn event(regarding: ObjectReference, news: News<'_>) -> Event {
    Reporter::new("dapr.io/operator", trilby_bootstrap::net::hostname()).event(regarding, news)
}
