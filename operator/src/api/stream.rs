//! One sidecar's stream of changes.
//!
//! The stream remembers the view it last compared. When the sidecar is ready for more and has taken every event of
//! the last comparison, the current view is compared with it: whatever happened in between is told once.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use trilby_identity::SpiffeId;

use super::call::{Frames, end};
use crate::{
    metrics::StreamGuard,
    pods::Assignments,
    view::{Published, View, changes},
};

/// Which resources a sidecar is told of.
pub(super) enum Sight {
    /// Those in scope of its app.
    Scope(SpiffeId),
    /// Those that pods of its app name. Asked at each change: pods may have come to name another since.
    Assigned(Assignments, SpiffeId),
}

pub(super) struct Follower {
    views: watch::Receiver<Arc<View>>,
    seen: Arc<View>,
    /// What is left of the last comparison: at most the resources of a namespace.
    events: VecDeque<Bytes>,
    sight: Sight,
    shutdown: CancellationToken,
    _guard: StreamGuard,
}

impl Sight {
    fn sees(&self, name: &str, resource: &Published) -> bool {
        match self {
            Self::Scope(id) => resource.in_scope_of(id.app_id()),
            Self::Assigned(assignments, id) => assignments.names(id.namespace(), id.app_id(), name),
        }
    }
}

impl Follower {
    /// The changes of a view from now on, as a sidecar with this sight is to know them.
    pub(super) fn new(
        mut views: watch::Receiver<Arc<View>>,
        sight: Sight,
        shutdown: CancellationToken,
        guard: StreamGuard,
    ) -> Self {
        let seen = Arc::clone(&views.borrow_and_update());
        Self {
            views,
            seen,
            events: VecDeque::new(),
            sight,
            shutdown,
            _guard: guard,
        }
    }

    /// The events, and in the end what tells the sidecar to come back.
    pub(super) fn into_frames(self) -> Frames {
        let frames = stream::unfold(Some(self), async |follower| {
            let mut follower = follower?;
            match follower.next().await {
                Some(event) => Some((Ok(Frame::data(event)), Some(follower))),
                None => Some((Ok(end(&ending())), None)),
            }
        });
        frames.boxed()
    }

    /// The next change; `None` at shutdown.
    async fn next(&mut self) -> Option<Bytes> {
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
            self.compare();
        }
    }

    fn compare(&mut self) {
        let current = Arc::clone(&self.views.borrow_and_update());
        let sees = |name: &str, resource: &Published| self.sight.sees(name, resource);
        let changes = changes(&self.seen, &current, sees).into_iter();
        self.events = changes
            .map(|(change, resource)| resource.encoded.event(change))
            .collect();
        self.seen = current;
    }
}

/// Tells the sidecar to come back, to another replica.
pub(super) fn ending() -> Status {
    Status::unavailable("operator is shutting down")
}
