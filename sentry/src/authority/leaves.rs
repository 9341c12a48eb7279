//! For how long certificates are given, and when those end that were signed here: none of them may outlive the trust in
//! its root.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

use super::Authority;
use crate::{
    bundle::unix_seconds,
    issuer::{Issuer, IssuerId},
    rotation::Record,
    settings::WORKLOAD_TTL,
    store::{Replaced, StoreError},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Leaves {
    /// The longest life that may be given: what is stored about it.
    longest_life: Mutex<Duration>,
    /// For a replica that missed a step for a while; one that starts again knows from
    /// [what is stored](Record::last_leaf_end).
    ends: Mutex<Ends>,
}

/// Whether a life is stored.
enum Noted {
    Already,
    Anew(Arc<Issuer>),
    /// Somebody else changed the documents first.
    Overtaken,
}

/// In seconds since 1970; 0 for none.
#[derive(Debug, Default)]
struct Ends {
    /// Who signed last.
    issuer: Option<IssuerId>,
    /// When the last of its certificates ends.
    last: u64,
    /// When the last one of all issuers before ends.
    before: u64,
}

impl Authority {
    /// Stores for how long certificates are given from now on, if what is stored says something else, and gives them
    /// for so long. Returns the issuer with the new documents, if they were changed.
    pub(super) async fn note_life(&self) -> Result<Option<Arc<Issuer>>, StoreError> {
        let ttl = self.validity.borrow().ttl;
        let Some(issuer) = self.issuer() else {
            return Ok(None);
        };
        let noted = self.store_life(&issuer, ttl).await;
        // Who may not write cannot rotate either.
        if !matches!(noted, Ok(Noted::Overtaken)) {
            *self.leaves.longest_life.lock() = ttl;
        }
        match noted? {
            Noted::Anew(issuer) => Ok(Some(self.adopt(issuer))),
            Noted::Already | Noted::Overtaken => Ok(None),
        }
    }

    async fn store_life(&self, issuer: &Issuer, ttl: Duration) -> Result<Noted, StoreError> {
        let old = issuer.documents();
        // No step is made by a record that cannot be read.
        let Ok(record) = Record::read(old.rotation.record.as_deref()) else {
            return Ok(Noted::Already);
        };
        let Some(record) = record.with_leaf_life(ttl, self.now()) else {
            return Ok(Noted::Already);
        };
        let mut new = old.clone();
        new.rotation.record = Some(record.write());
        let Ok(issuer) = self.prove(new.clone()) else {
            return Ok(Noted::Already);
        };
        Ok(match self.store.replace(old, &new).await? {
            Replaced::Done => Noted::Anew(issuer),
            Replaced::Overtaken => Noted::Overtaken,
        })
    }
}

impl Default for Leaves {
    fn default() -> Self {
        Self {
            longest_life: Mutex::new(WORKLOAD_TTL),
            ends: Mutex::default(),
        }
    }
}

impl Leaves {
    /// For how long certificates may be given.
    pub(super) fn longest_life(&self) -> Duration {
        *self.longest_life.lock()
    }

    /// An issuer signed a certificate that ends then.
    pub(crate) fn signed(&self, issuer: IssuerId, not_after: SystemTime) {
        let mut ends = self.ends.lock();
        if ends.issuer != Some(issuer) {
            ends.before = ends.before.max(ends.last);
            ends.last = 0;
            ends.issuer = Some(issuer);
        }
        ends.last = ends.last.max(unix_seconds(not_after));
    }

    /// When the last certificate of all issuers but this one ends.
    pub(crate) fn of_others(&self, issuer: IssuerId) -> u64 {
        let ends = self.ends.lock();
        if ends.issuer == Some(issuer) {
            ends.before
        } else {
            ends.before.max(ends.last)
        }
    }

    /// When the last certificate of all ends.
    pub(crate) fn of_all(&self) -> u64 {
        let ends = self.ends.lock();
        ends.before.max(ends.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_kept_apart_for_the_issuer_in_use_and_those_before() {
        let ends = Leaves::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let [one, two, three] = [1, 2, 3].map(IssuerId::from);
        assert_eq!((ends.of_all(), ends.of_others(one)), (0, 0));
        ends.signed(one, at(100));
        ends.signed(one, at(50));
        assert_eq!((ends.of_others(one), ends.of_others(two)), (0, 100));
        ends.signed(two, at(70));
        assert_eq!((ends.of_others(two), ends.of_others(three)), (100, 100));
        ends.signed(two, at(200));
        assert_eq!((ends.of_others(two), ends.of_all()), (100, 200));
        ends.signed(three, at(1));
        assert_eq!(ends.of_others(three), 200);
    }
}
