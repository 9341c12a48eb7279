//! The turn-based lock of one actor: one chain of calls at a time, in the order in which they came.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The lock of one active actor. Each entry of its queue is a chain of calls, whose members run together.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    chains: VecDeque<Chain>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Chain {
    number: u64,
    /// The reentrancy id; `None` for a call that nobody may join.
    id: Option<String>,
    members: u32,
    /// Cancelled when it is this chain's turn.
    turn: CancellationToken,
}

/// Why a call did not get its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnError {
    /// The actor is being deactivated.
    Closed,
    /// The chain is as deep as it may be.
    TooDeep,
}

/// How a call takes part in chains.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chaining<'a> {
    /// It is a chain of its own.
    Alone,
    /// It joins the chain of this id, or begins it; a chain has at most `depth` members at a time.
    Reentrant {
        /// The id that the callers pass on.
        id: &'a str,
        /// The most members.
        depth: u32,
    },
}

/// A call's turn, or its place in the queue; dropped, it gives both up.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

// === impl Turns ===

impl Turns {
    /// Waits for a turn.
    ///
    /// # Cancel safety
    /// A call that no longer waits leaves the queue.
    pub(crate) async fn take(self: &Arc<Self>, chaining: Chaining<'_>) -> Result<Turn, TurnError> {
        let (turn, mine) = self.enqueue(chaining)?;
        mine.cancelled().await;
        if self.queue.lock().closed {
            return Err(TurnError::Closed);
        }
        Ok(turn)
    }

    /// Closes the lock if no one has or waits for a turn.
    pub(crate) fn close_if_unused(&self) -> bool {
        let mut queue = self.queue.lock();
        let unused = queue.chains.is_empty() && !queue.closed;
        if unused {
            queue.closed = true;
        }
        unused
    }

    /// Closes the lock: who waits is turned away. `false` if it was closed before.
    pub(crate) fn close(&self) -> bool {
        let mut queue = self.queue.lock();
        for chain in &queue.chains {
            chain.turn.cancel();
        }
        !std::mem::replace(&mut queue.closed, true)
    }

    fn enqueue(
        self: &Arc<Self>,
        chaining: Chaining<'_>,
    ) -> Result<(Turn, CancellationToken), TurnError> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(TurnError::Closed);
        }
        let (number, mine) = match chaining {
            Chaining::Reentrant { id, depth } => match queue.chain(id) {
                Some(chain) if chain.members >= depth => return Err(TurnError::TooDeep),
                Some(chain) => chain.join(),
                None => queue.push(Some(id.to_owned())),
            },
            Chaining::Alone => queue.push(None),
        };
        let turn = Turn {
            turns: Arc::clone(self),
            number,
        };
        Ok((turn, mine))
    }

    fn leave(&self, number: u64) {
        let mut queue = self.queue.lock();
        let Some(index) = queue.chains.iter().position(|chain| chain.number == number) else {
            return;
        };
        queue.chains[index].members -= 1;
        if queue.chains[index].members == 0 {
            queue.chains.remove(index);
            if let Some(front) = queue.chains.front() {
                front.turn.cancel();
            }
        }
    }
}

// === impl Queue ===

impl Queue {
    fn chain(&mut self, id: &str) -> Option<&mut Chain> {
        self.chains
            .iter_mut()
            .find(|chain| chain.id.as_deref() == Some(id))
    }

    fn push(&mut self, id: Option<String>) -> (u64, CancellationToken) {
        let number = self.next;
        self.next += 1;
        let turn = CancellationToken::new();
        if self.chains.is_empty() {
            turn.cancel();
        }
        self.chains.push_back(Chain {
            number,
            id,
            members: 1,
            turn: turn.clone(),
        });
        (number, turn)
    }
}

// === impl Chain ===

impl Chain {
    fn join(&mut self) -> (u64, CancellationToken) {
        self.members += 1;
        (self.number, self.turn.clone())
    }
}

// === impl Turn ===

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.leave(self.number);
    }
}

#[cfg(test)]
mod tests;
