//! When which status is looked at. Pure; the clock is the caller's.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{reports::Id, resource::Kind};

/// How long changes of one resource are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// The shortest time between two writes of one resource's status.
const REST: Duration = Duration::from_secs(5);
/// When a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(15);
/// When a kind whose status cannot be written is tried again.
const LATER: Duration = Duration::from_secs(10 * 60);

/// How a look at one resource ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its status says what it should.
    Nothing,
    Written,
    /// It may work later.
    Failed(String),
    /// The kind has no status that we may write.
    Unsupported(String),
}

impl Outcome {
    /// As metrics call it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Nothing => "unchanged",
            Self::Written => "written",
            Self::Failed(_) => "failed",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// What is due when.
#[derive(Default)]
pub(super) struct Schedule {
    due: HashMap<Id, Instant>,
    /// When each one was written last, as far as that holds the next write up.
    written: HashMap<Id, Instant>,
    /// Kinds whose status cannot be written, until when.
    unsupported: HashMap<Kind, Instant>,
}

impl Schedule {
    /// Something happened to these.
    pub(super) fn changed(&mut self, ids: impl IntoIterator<Item = Id>, now: Instant) {
        self.written.retain(|_, written| *written + REST > now);
        for id in ids {
            let mut due = now + GATHER;
            if let Some(written) = self.written.get(&id) {
                due = due.max(*written + REST);
            }
            if let Some(until) = self.unsupported.get(&id.0) {
                due = due.max(*until);
            }
            self.due.entry(id).or_insert(due);
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Takes those that are due.
    pub(super) fn take(&mut self, now: Instant) -> HashSet<Id> {
        let due = self.due.iter().filter(|(_, due)| **due <= now);
        let due: HashSet<Id> = due.map(|(id, _)| id.clone()).collect();
        self.due.retain(|id, _| !due.contains(id));
        due
    }

    /// Whether writing this kind is not even tried now.
    pub(super) fn is_unsupported(&self, kind: Kind, now: Instant) -> bool {
        self.unsupported
            .get(&kind)
            .is_some_and(|until| *until > now)
    }

    /// Takes note of how it ended; what is to be said about it, if that is news.
    pub(super) fn settle(&mut self, id: Id, outcome: Outcome, now: Instant) -> Option<String> {
        match outcome {
            Outcome::Nothing => None,
            Outcome::Written => {
                self.unsupported.remove(&id.0);
                self.written.insert(id, now);
                None
            }
            Outcome::Failed(reason) => {
                self.due.insert(id, now + RETRY);
                Some(reason)
            }
            Outcome::Unsupported(reason) => {
                let until = now + LATER;
                let known = self.unsupported.insert(id.0, until).is_some();
                self.due.insert(id, until);
                (!known).then_some(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Key;

    fn id(kind: Kind, name: &str) -> Id {
        let key = Key {
            namespace: "shop".into(),
            name: name.into(),
        };
        (kind, key)
    }

    fn component(name: &str) -> Id {
        id(Kind::Component, name)
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_gathered_and_looked_at_once() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.changed([component("a")], start);
        schedule.changed([component("a"), component("b")], start + GATHER / 2);
        assert_eq!(schedule.next(), Some(start + GATHER));
        assert!(schedule.take(start).is_empty());
        assert_eq!(schedule.take(start + GATHER), [component("a")].into());
        assert_eq!(schedule.next(), Some(start + GATHER / 2 + GATHER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_resource_rests_between_two_writes() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.settle(component("a"), Outcome::Written, now);
        schedule.changed([component("a"), component("b")], now);
        assert_eq!(schedule.take(now + GATHER), [component("b")].into());
        assert_eq!(schedule.take(now + REST), [component("a")].into());
        schedule.changed([component("a")], now + REST);
        assert_eq!(schedule.next(), Some(now + REST + GATHER), "it has rested");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_write_is_tried_again() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let failed = Outcome::Failed("away".to_owned());
        let said = schedule.settle(component("a"), failed, now);
        assert_eq!(said.as_deref(), Some("away"));
        assert_eq!(schedule.next(), Some(now + RETRY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_without_status_is_named_once_and_left_alone() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        let without = || Outcome::Unsupported("no status".to_owned());
        assert!(schedule.settle(component("a"), without(), now).is_some());
        assert!(schedule.settle(component("b"), without(), now).is_none());
        assert!(schedule.is_unsupported(Kind::Component, now));
        assert!(!schedule.is_unsupported(Kind::Resiliency, now));
        schedule.changed([component("c"), id(Kind::Resiliency, "r")], now);
        assert_eq!(
            schedule.take(now + GATHER),
            [id(Kind::Resiliency, "r")].into()
        );
        assert_eq!(schedule.take(now + LATER).len(), 3);
        assert!(!schedule.is_unsupported(Kind::Component, now + LATER));
        schedule.settle(component("a"), Outcome::Written, now + LATER);
        let again = schedule.settle(component("a"), without(), now + LATER);
        assert!(again.is_some(), "news again, after it worked");
    }
}
