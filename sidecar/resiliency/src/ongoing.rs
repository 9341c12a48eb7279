//! An attempt whose answer is still arriving, for the body that carries the answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep_until};

use crate::failure::Stopped;
use crate::machine::Outcome;
use crate::run::Guard;

/// A [`Guard`] with its clock. The attempt ends once: by its outcome, at its deadline, or given up when dropped.
#[derive(Debug)]
pub struct Ongoing {
    /// Gone once the attempt has ended.
    guard: Option<Guard>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Ongoing {
    /// The attempt goes on, until the guard's deadline if it has one.
    pub fn new(guard: Guard) -> Self {
        let deadline = guard.deadline().map(|at| Box::pin(sleep_until(at)));
        Self {
            guard: Some(guard),
            deadline,
        }
    }

    /// The attempt is over. Nothing, if it was over before.
    pub fn settle(&mut self, outcome: Outcome) {
        self.deadline = None;
        if let Some(guard) = self.guard.take() {
            guard.settle(outcome);
        }
    }

    /// Ready once, when the attempt still goes on at its deadline: that ends it. Wakes the task when it will.
    pub fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Stopped> {
        let Some(deadline) = self.deadline.as_mut() else {
            return Poll::Pending;
        };
        ready!(deadline.as_mut().poll(context));
        self.deadline = None;
        match self.guard.take() {
            Some(guard) => Poll::Ready(guard.time_out()),
            None => Poll::Pending,
        }
    }
}
