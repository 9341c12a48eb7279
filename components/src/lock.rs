//! The lock block: a resource belongs to one owner at most, until that owner gives it back or its time is over.
//!
//! What a store owes its callers is held by `conformance::lock`. Deliberately absent, as in
//! upstream: locks that are extended, entered twice by their owner or waited for, and tokens that fence off an owner whose
//! time is over.

use std::time::Duration;

use async_trait::async_trait;

/// A wish to own a resource for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// What is to be owned: the whole key, as the store has it.
    pub resource: &'a str,
    /// Who wants it. An owner that has it already does not get it again.
    pub owner: &'a str,
    /// For how long at most, by the store's clock: whole seconds, at least one.
    pub life: Duration,
}

/// What became of the wish to give a resource back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It was this owner's, and is free now.
    Done,
    /// It is nobody's.
    Absent,
    /// It is another owner's, and stays so.
    Foreign,
}

/// Failures of a lock store, named for what a caller can do about them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The request itself is wrong: do not retry.
    #[error("{0}")]
    InvalidRequest(String),
    /// The store cannot be reached or did not answer in time: a retry may succeed, and what was asked for may have
    /// happened.
    #[error("{0}")]
    Unavailable(String),
    /// The store answered with an error of its own, or holds something that is no lock.
    #[error("{0}")]
    Store(String),
}

/// A store of locks.
#[async_trait]
pub trait LockStore: Send + Sync {
    /// Takes a resource for an owner, if it is nobody's; says whether it did. It never waits for another owner.
    ///
    /// # Errors
    /// Nobody knows whether the resource was taken, unless the error says otherwise; if it was, it is free again when its
    /// time is over.
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError>;

    /// Gives a resource back, if it is this owner's.
    ///
    /// # Errors
    /// Nobody knows whether the resource was given back, unless the error says otherwise.
    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError>;

    /// Releases connections; locks stay as they are.
    async fn close(&self) {}
}
