//! Orders on their way to one stream.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Orders that a stream may be behind. A round has three, and ends only when all acknowledged it: far
/// fewer are ever under way to a sidecar that reads at all.
const BEHIND: usize = 64;

/// The hub's end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    orders: mpsc::Sender<Bytes>,
    end: Arc<parking_lot::Mutex<Option<Status>>>,
    ended: CancellationToken,
}

/// The stream's end.
#[derive(Debug)]
pub(crate) struct Orders {
    orders: mpsc::Receiver<Bytes>,
    end: Arc<parking_lot::Mutex<Option<Status>>>,
    ended: CancellationToken,
}

/// A new way from the hub to a stream.
pub(crate) fn outbox() -> (Outbox, Orders) {
    let (sender, receiver) = mpsc::channel(BEHIND);
    let end = Arc::default();
    let ended = CancellationToken::new();
    let orders = Orders {
        orders: receiver,
        end: Arc::clone(&end),
        ended: ended.clone(),
    };
    (
        Outbox {
            orders: sender,
            end,
            ended,
        },
        orders,
    )
}

// === impl Outbox ===

impl Outbox {
    /// Queues an order. A stream that is too far behind is ended; `false` says so.
    pub(crate) fn send(&self, order: Bytes) -> bool {
        match self.orders.try_send(order) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.end(Status::resource_exhausted(
                    "the stream does not read its orders",
                ));
                false
            }
        }
    }

    /// Ends the stream with a status, ahead of orders that are still queued. The first status counts.
    pub(crate) fn end(&self, status: Status) {
        self.end.lock().get_or_insert(status);
        self.ended.cancel();
    }

    /// Completes when the stream is gone.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let orders = self.orders.clone();
        async move { orders.closed().await }
    }
}

// === impl Orders ===

impl Orders {
    /// The next order.
    ///
    /// # Errors
    /// The status with which the stream ends.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Status> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => {}
            order = self.orders.recv() => if let Some(order) = order {
                return Ok(order);
            },
        }
        let status = self.end.lock().take();
        Err(status.unwrap_or_else(|| Status::unavailable("placement server is shutting down")))
    }
}
