//! Instances between requests.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::guest::Guest;
use crate::module::Compiled;

/// Requests that are handled at once. Each has an instance of its own until its response is there. More are refused
/// rather than made to wait: a request that caused another through the same pipeline would wait for itself.
const MOST_AT_ONCE: usize = 256;
/// Instances that are kept for later requests.
const MOST_IDLE: usize = 8;

/// The instances of one guest.
#[derive(Debug)]
pub(crate) struct Pool {
    compiled: Arc<Compiled>,
    idle: Mutex<Vec<Guest>>,
    room: Arc<Semaphore>,
}

/// Why there is no instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoGuest {
    /// All are in use.
    Busy,
    /// One could not be made.
    Failed(String),
}

/// An instance, for one request.
#[derive(Debug)]
pub(crate) struct Borrowed {
    pub(crate) guest: Guest,
    _room: OwnedSemaphorePermit,
}

impl Pool {
    /// With one instance, so that a guest which cannot be instantiated is noticed at once.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) async fn new(compiled: Arc<Compiled>) -> Result<Self, String> {
        let first = Guest::new(&compiled).await?;
        Ok(Self {
            compiled,
            idle: Mutex::new(vec![first]),
            room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        })
    }

    /// An instance for one request.
    ///
    /// # Errors
    /// See [`NoGuest`].
    pub(crate) async fn borrow(&self) -> Result<Borrowed, NoGuest> {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_| NoGuest::Busy)?;
        let idle = self.idle.lock().pop();
        let guest = match idle {
            Some(guest) => guest,
            None => Guest::new(&self.compiled).await.map_err(NoGuest::Failed)?,
        };
        Ok(Borrowed { guest, _room: room })
    }

    /// Takes back an instance that did not fail; gives what it wrote to its output.
    pub(crate) fn give_back(&self, borrowed: Borrowed) -> (Vec<u8>, Vec<u8>) {
        let mut guest = borrowed.guest;
        let output = guest.reset();
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(guest);
        }
        output
    }
}
