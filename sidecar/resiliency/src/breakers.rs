//! The breakers of one target: as many as it has methods or actors in use, up to a bound.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::breaker::Breaker;
use crate::lru::Lru;
use crate::machine::Settings;

/// Live breakers by key. It survives reloads; a breaker whose policy is no longer the same is made anew.
#[derive(Debug)]
pub(crate) struct Breakers {
    capacity: usize,
    by_key: Mutex<Lru<Arc<Breaker>>>,
}

impl Breakers {
    /// Holds up to `capacity` breakers.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            by_key: Mutex::new(Lru::new(capacity)),
        }
    }

    /// These, if they have that capacity, else empty ones.
    pub(crate) fn kept(former: Option<&Arc<Self>>, capacity: usize) -> Arc<Self> {
        match former {
            Some(former) if former.capacity == capacity => Arc::clone(former),
            _ => Arc::new(Self::new(capacity)),
        }
    }

    /// The breaker of a key, closed if there was none.
    pub(crate) fn of(&self, key: &str, settings: &Arc<Settings>) -> Arc<Breaker> {
        let mut by_key = self.by_key.lock();
        if let Some(breaker) = by_key.get(key) {
            let held = breaker.settings();
            if Arc::ptr_eq(held, settings) || held == settings {
                return Arc::clone(breaker);
            }
        }
        let breaker = Arc::new(Breaker::new(Arc::clone(settings), key));
        by_key.insert(key, Arc::clone(&breaker));
        breaker
    }
}

/// Breakers of targets that no resource names, which clients may name without end.
#[derive(Debug)]
pub(crate) struct BreakersByTarget {
    targets: Mutex<Lru<Arc<Breakers>>>,
    each: usize,
}

impl BreakersByTarget {
    /// Up to `targets` targets with up to `each` breakers.
    pub(crate) fn new(targets: usize, each: usize) -> Self {
        Self {
            targets: Mutex::new(Lru::new(targets)),
            each,
        }
    }

    /// The breakers of a target.
    pub(crate) fn of(&self, target: &str) -> Arc<Breakers> {
        let mut targets = self.targets.lock();
        if let Some(breakers) = targets.get(target) {
            return Arc::clone(breakers);
        }
        let breakers = Arc::new(Breakers::new(self.each));
        targets.insert(target, Arc::clone(&breakers));
        breakers
    }
}
