//! The policy of one operation.

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::Breaker;
use crate::observer::{Applied, Observer, Subject};
use crate::retry::Retry;

/// The parts of a policy.
type Parts = (Option<Duration>, Option<Arc<Retry>>, Option<Arc<Breaker>>);

/// What applies to one operation; made for it, used once.
#[derive(Debug)]
pub struct Policy {
    pub(crate) name: String,
    pub(crate) subject: Arc<Subject>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<Retry>>,
    pub(crate) breaker: Option<Arc<Breaker>>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Policy {
    /// A policy under its name in the log.
    pub fn new(
        (name, subject): (String, Arc<Subject>),
        (timeout, retry, breaker): Parts,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            name,
            subject,
            timeout,
            retry,
            breaker,
            observer,
        }
    }

    /// Whether an operation may be tried again, so that what it sends has to be kept.
    pub fn repeats(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.repeats())
    }

    /// The same without retries, for what can be sent only once.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.retry = None;
        self
    }

    /// The same without a timeout; `None` if nothing is left of it.
    pub fn without_timeout(mut self) -> Option<Self> {
        self.timeout = None;
        (self.retry.is_some() || self.breaker.is_some()).then_some(self)
    }

    /// Tells that an operation begins.
    pub(crate) fn tell_applied(&self) {
        let subject = &self.subject;
        if self.timeout.is_some() {
            self.observer.applied(subject, Applied::Timeout);
        }
        if self.retry.is_some() {
            self.observer.applied(subject, Applied::Retry);
        }
        if let Some(breaker) = &self.breaker {
            self.observer
                .applied(subject, Applied::Breaker(breaker.state()));
        }
    }
}
