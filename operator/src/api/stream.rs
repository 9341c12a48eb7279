//! One sidecar's stream of changes.
//!
//! The stream remembers the view it last compared. When the sidecar is ready for more and has taken every event of
//! the last comparison, the current view is compared with it: whatever happened in between is told once.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use trilby_proto::operator::v1::ResourceEventType;

use super::Events;
use crate::{
    metrics::StreamGuard,
    view::{Change, Published, View, changes},
};

struct Follower<F> {
    views: watch::Receiver<Arc<View>>,
    seen: Arc<View>,
    /// What is left of the last comparison: at most the resources of a namespace.
    events: VecDeque<(Change, Bytes)>,
    sees: F,
    shutdown: CancellationToken,
    _guard: StreamGuard,
}

/// The changes of a view from now on, as a sidecar that sees what `sees` says is to know them.
pub(super) fn follow<F>(
    mut views: watch::Receiver<Arc<View>>,
    sees: F,
    shutdown: CancellationToken,
    guard: StreamGuard,
) -> impl Stream<Item = Result<(Change, Bytes), Status>> + Send + 'static
where
    F: Fn(&str, &Published) -> bool + Send + 'static,
{
    let seen = Arc::clone(&views.borrow_and_update());
    let follower = Follower {
        seen,
        views,
        events: VecDeque::new(),
        sees,
        shutdown,
        _guard: guard,
    };
    stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        match follower.next().await {
            Some(event) => Some((Ok(event), Some(follower))),
            None => Some((Err(ending()), None)),
        }
    })
}

/// Events as messages; a change becomes its number on the wire.
pub(super) fn encode<T, S>(
    events: S,
    message: impl Fn(Bytes, ResourceEventType) -> T + Send + 'static,
) -> Events<T>
where
    S: Stream<Item = Result<(Change, Bytes), Status>> + Send + 'static,
{
    Box::pin(events.map(move |event| {
        let (change, json) = event?;
        let change = match change {
            Change::Created => ResourceEventType::Created,
            Change::Updated => ResourceEventType::Updated,
            Change::Deleted => ResourceEventType::Deleted,
        };
        Ok(message(json, change))
    }))
}

/// Tells the sidecar to come back, to another replica.
pub(super) fn ending() -> Status {
    Status::unavailable("operator is shutting down")
}

impl<F: Fn(&str, &Published) -> bool> Follower<F> {
    /// The next change; `None` at shutdown.
    async fn next(&mut self) -> Option<(Change, Bytes)> {
        loop {
            if self.shutdown.is_cancelled() {
                return None;
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                // The sender goes away with the store, so with the process.
                changed = self.views.changed() => changed.ok()?,
            }
            let current = Arc::clone(&self.views.borrow_and_update());
            self.events = changes(&self.seen, &current, &self.sees).into();
            self.seen = current;
        }
    }
}
