//! Who counts what policies do.

use std::fmt::Debug;
use std::sync::Arc;

use crate::machine::State;
use crate::policies::Direction;

/// What a policy is applied to, as metrics name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The Resiliency resource that gave the policy.
    pub resource: Arc<str>,
    /// Its namespace; empty when it has none.
    pub namespace: Arc<str>,
    /// The way of the operation.
    pub direction: Direction,
    /// `app_<id>`, `actor_<type>` or `<component kind>_<name>`.
    pub target: Arc<str>,
}

/// The part of a policy that was applied or took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// The timeout.
    Timeout,
    /// The retries.
    Retry,
    /// The circuit breaker, in this state.
    Breaker(State),
}

/// Counts. Called while requests wait: implementations return at once.
pub trait Observer: Debug + Send + Sync + 'static {
    /// A resource came into force.
    fn loaded(&self, resource: &str, namespace: &str);

    /// An operation begins under a policy.
    fn applied(&self, subject: &Subject, part: Applied);

    /// A policy took effect: an attempt timed out, the first retry of an operation was decided, a breaker
    /// changed its state.
    fn activated(&self, subject: &Subject, part: Applied);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn loaded(&self, _: &str, _: &str) {}

    fn applied(&self, _: &Subject, _: Applied) {}

    fn activated(&self, _: &Subject, _: Applied) {}
}
