//! `lock.in-memory`: locks among the callers of one sidecar. They end with it, and with a change of the component.

use std::{
    collections::{BTreeSet, HashMap, hash_map},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lock::{Claim, LockError, LockStore, Release};

/// Locks in memory. Those whose time is over go away with the next call of any kind.
#[derive(Default)]
pub struct InMemoryLock {
    locks: Mutex<Locks>,
}

#[derive(Default)]
struct Locks {
    by_resource: HashMap<Arc<str>, Held>,
    /// Soonest first, so that a sweep touches only what is due.
    by_expiry: BTreeSet<(Instant, Arc<str>)>,
}

struct Held {
    owner: String,
    /// `None` for a time beyond what the clock can say.
    until: Option<Instant>,
}

// === impl Locks ===

impl Locks {
    fn take(&mut self, claim: Claim<'_>, now: Instant) -> bool {
        self.sweep(now);
        let resource: Arc<str> = claim.resource.into();
        let until = now.checked_add(claim.life);
        match self.by_resource.entry(Arc::clone(&resource)) {
            hash_map::Entry::Occupied(_) => return false,
            hash_map::Entry::Vacant(free) => free.insert(Held {
                owner: claim.owner.to_owned(),
                until,
            }),
        };
        self.by_expiry.extend(until.map(|until| (until, resource)));
        true
    }

    fn give_back(&mut self, resource: &str, owner: &str, now: Instant) -> Release {
        self.sweep(now);
        match self.by_resource.get(resource) {
            None => return Release::Absent,
            Some(held) if held.owner != owner => return Release::Foreign,
            Some(_) => {}
        }
        if let Some((resource, held)) = self.by_resource.remove_entry(resource)
            && let Some(until) = held.until
        {
            self.by_expiry.remove(&(until, resource));
        }
        Release::Done
    }

    fn sweep(&mut self, now: Instant) {
        while self
            .by_expiry
            .first()
            .is_some_and(|(until, _)| *until <= now)
        {
            if let Some((_, resource)) = self.by_expiry.pop_first() {
                self.by_resource.remove(&resource);
            }
        }
    }
}

// === impl InMemoryLock ===

#[async_trait]
impl LockStore for InMemoryLock {
    async fn try_lock(&self, claim: Claim<'_>) -> Result<bool, LockError> {
        Ok(self.locks.lock().take(claim, Instant::now()))
    }

    async fn unlock(&self, resource: &str, owner: &str) -> Result<Release, LockError> {
        let now = Instant::now();
        Ok(self.locks.lock().give_back(resource, owner, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{InMemoryLock, Locks};
    use crate::{
        conformance,
        lock::{Claim, Release},
    };

    fn claim(resource: &'static str, owner: &'static str, seconds: u64) -> Claim<'static> {
        Claim {
            resource,
            owner,
            life: Duration::from_secs(seconds),
        }
    }

    #[tokio::test]
    async fn it_is_a_lock_store() {
        conformance::lock::run(&InMemoryLock::default(), "app").await;
    }

    #[test]
    fn a_lock_is_free_at_the_end_of_its_time_and_not_before() {
        let (mut locks, start) = (Locks::default(), Instant::now());
        assert!(locks.take(claim("r", "a", 2), start));
        let just_before = start + Duration::from_millis(1_999);
        assert!(!locks.take(claim("r", "b", 2), just_before));
        let end = start + Duration::from_secs(2);
        assert_eq!(locks.give_back("r", "a", end), Release::Absent);
        assert!(locks.take(claim("r", "b", 2), end));
    }

    #[test]
    fn what_was_given_back_leaves_nothing_that_ends_the_next_lock() {
        let (mut locks, start) = (Locks::default(), Instant::now());
        assert!(locks.take(claim("r", "a", 1), start));
        assert_eq!(locks.give_back("r", "a", start), Release::Done);
        assert!(locks.take(claim("r", "b", 100), start));
        let later = start + Duration::from_secs(50);
        assert!(!locks.take(claim("r", "a", 1), later));
        assert_eq!(locks.give_back("r", "b", later), Release::Done);
        assert!(locks.by_resource.is_empty() && locks.by_expiry.is_empty());
    }

    #[test]
    fn locks_that_nobody_gives_back_take_no_memory() {
        let (mut locks, start) = (Locks::default(), Instant::now());
        for number in 0..1_000 {
            let resource = number.to_string();
            let claim = Claim {
                resource: &resource,
                ..claim("", "a", 1)
            };
            assert!(locks.take(claim, start));
        }
        let later = start + Duration::from_secs(1);
        assert!(locks.take(claim("r", "a", 1), later));
        assert_eq!((locks.by_resource.len(), locks.by_expiry.len()), (1, 1));
    }

    #[test]
    fn a_time_beyond_the_clock_is_no_time() {
        let mut locks = Locks::default();
        let forever = Claim {
            life: Duration::MAX,
            ..claim("r", "a", 1)
        };
        assert!(locks.take(forever, Instant::now()));
        assert_eq!(locks.give_back("r", "a", Instant::now()), Release::Done);
    }
}
