//! What happens on one connection: how many requests are open, and since when there is none.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The requests of one connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    open: AtomicUsize,
    started: AtomicU64,
    /// When the last open request ended, in milliseconds after `began`.
    idle_since: AtomicU64,
}

/// One open request; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
        }))
    }

    /// A request begins.
    pub(super) fn open(&self) -> OpenRequest {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        self.0.started.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.clone())
    }

    /// How many requests ever began.
    pub(super) fn started(&self) -> u64 {
        self.0.started.load(Ordering::Acquire)
    }

    /// Whether no request is open.
    pub(super) fn is_idle(&self) -> bool {
        self.0.open.load(Ordering::Acquire) == 0
    }

    /// When a connection that stays idle will have been so for `limit`; `None` while it is busy.
    pub(super) fn idle_until(&self, limit: Duration) -> Option<Instant> {
        let since = Duration::from_millis(self.0.idle_since.load(Ordering::Acquire));
        self.is_idle().then(|| self.0.began + since + limit)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let connection = &self.0.0;
        let now = u64::try_from(connection.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        connection.idle_since.store(now, Ordering::Release);
        connection.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A response's body, which keeps its request open until it is sent or given up.
#[derive(Debug)]
pub(super) struct Counted<B>(Option<(B, OpenRequest)>);

impl<B> Counted<B> {
    pub(super) fn new(body: B, open: OpenRequest) -> Self {
        Self(Some((body, open)))
    }
}

/// No body, of a response that is no service's.
impl<B> Default for Counted<B> {
    fn default() -> Self {
        Self(None)
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.0 {
            Some((body, _)) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some((body, _)) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
