//! The connections of one channel: usually one, more while many calls are open at once.
//!
//! Servers limit how many calls one connection may carry. A call above the limit would wait until another ends, and calls
//! that last (streams, slow applications) end late or never, so a further connection is opened instead.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tonic::body::Body;

/// Open calls on one connection before another is opened. Common servers allow 100 to 250; Dapr's clients count to 100.
pub(super) const CALLS_PER_CONNECTION: usize = 100;

/// Connections of one channel. Above, calls share the least busy one.
const MOST_CONNECTIONS: usize = 1024;

/// The open connections.
#[derive(Default)]
pub(super) struct Connections(parking_lot::Mutex<Vec<Arc<Connection>>>);

struct Connection {
    send: SendRequest<Body>,
    calls: AtomicUsize,
}

/// A place for one call on a connection, until it is dropped.
pub(super) struct Lease {
    pool: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Connections {
    /// A place on a connection that has room; `None` when another has to be opened.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut open = self.0.lock();
        open.retain(|connection| !connection.send.is_closed());
        let roomy = open
            .iter()
            .find(|connection| connection.calls() < CALLS_PER_CONNECTION);
        let chosen = match roomy {
            Some(connection) => connection,
            None if open.len() < MOST_CONNECTIONS => return None,
            None => open.iter().min_by_key(|connection| connection.calls())?,
        };
        Some(self.place(Arc::clone(chosen)))
    }

    /// Adds a connection and takes a place on it.
    pub(super) fn add(self: &Arc<Self>, send: SendRequest<Body>) -> Lease {
        let connection = Arc::new(Connection {
            send,
            calls: AtomicUsize::new(0),
        });
        let mut open = self.0.lock();
        open.push(Arc::clone(&connection));
        self.place(connection)
    }

    fn place(self: &Arc<Self>, connection: Arc<Connection>) -> Lease {
        connection.calls.fetch_add(1, Ordering::Relaxed);
        Lease {
            pool: Arc::clone(self),
            connection,
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }

    fn remove(&self, gone: &Arc<Connection>) {
        self.0
            .lock()
            .retain(|connection| !Arc::ptr_eq(connection, gone));
    }

    /// Closes a connection that became idle while another is: one is kept for the next call.
    fn settle(&self, idle: &Arc<Connection>) {
        let mut open = self.0.lock();
        let spare = |connection: &Arc<Connection>| {
            !Arc::ptr_eq(connection, idle) && connection.calls() == 0
        };
        if open.len() > 1 && idle.calls() == 0 && open.iter().any(spare) {
            open.retain(|connection| !Arc::ptr_eq(connection, idle));
        }
    }
}

impl Connection {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Lease {
    /// The connection's sending end.
    pub(super) fn sender(&self) -> SendRequest<Body> {
        self.connection.send.clone()
    }

    /// Takes the connection out: it gave a call back unsent, so it is dying. Calls on it go on.
    pub(super) fn retire(&self) {
        self.pool.remove(&self.connection);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.connection.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pool.settle(&self.connection);
        }
    }
}

/// The body of an answer. Keeps the call's place on its connection until the end.
pub struct CallBody {
    pub(super) body: Incoming,
    pub(super) _place: Lease,
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for CallBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.body.fmt(f)
    }
}
