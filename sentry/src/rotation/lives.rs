//! For how long leaves were given, as far as it still matters: a root stays trusted until the last leaf below it ends,
//! also when replicas started again and the Configuration says something else by now.
//!
//! It is written beside the authority before a leaf is given for longer, and when leaves are given for a shorter time
//! from now on. Nothing written stands for [`WORKLOAD_TTL`], so that who leaves that alone never sees a write.

use std::time::{Duration, SystemTime};

use super::{Record, decision::replica_lag};
use crate::{bundle::unix_seconds, settings::WORKLOAD_TTL};

impl Record {
    /// Of an authority that is new: nobody has a leaf. `None` if there is nothing to say.
    pub(crate) fn of_new(source: Option<&str>, ttl: Duration) -> Option<Self> {
        let life = Some(seconds(ttl)).filter(|life| *life != WORKLOAD_TTL.as_secs());
        let record = Self {
            source: source.map(str::to_owned),
            leaf_life: life,
            ..Self::default()
        };
        (record != Self::default()).then_some(record)
    }

    /// What to write when leaves are to hold for `ttl` from now on; `None` if that is written.
    pub(crate) fn with_leaf_life(&self, ttl: Duration, now: SystemTime) -> Option<Self> {
        let (before, life) = (self.leaf_life(), seconds(ttl));
        if life == before.as_secs() {
            return None;
        }
        let mut record = self.clone();
        record.leaf_life = Some(life);
        if life < before.as_secs() {
            let end = unix_seconds(now + before + replica_lag(before));
            record.longer_leaves_end = self.longer_leaves_end.max(Some(end));
        }
        Some(record)
    }

    /// When the last leaf ends that may be given until all replicas know of a step that is made now.
    pub(crate) fn last_leaf_end(&self, ttl: Duration, now: SystemTime) -> u64 {
        let life = ttl.max(self.leaf_life());
        let end = unix_seconds(now + life + replica_lag(life));
        end.max(self.longer_leaves_end.unwrap_or_default())
    }

    fn leaf_life(&self) -> Duration {
        self.leaf_life.map_or(WORKLOAD_TTL, Duration::from_secs)
    }
}

/// In whole seconds, and never less than it is.
fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + hours * HOUR
    }

    fn record(life: Option<Duration>, longer_end: Option<SystemTime>) -> Record {
        Record {
            leaf_life: life.map(|life| life.as_secs()),
            longer_leaves_end: longer_end.map(unix_seconds),
            ..Record::default()
        }
    }

    #[test]
    fn what_everybody_has_is_not_written() {
        assert_eq!(record(None, None).with_leaf_life(WORKLOAD_TTL, at(1)), None);
        assert_eq!(record(Some(HOUR), None).with_leaf_life(HOUR, at(1)), None);
    }

    #[test]
    fn a_longer_life_is_written_and_a_shorter_one_with_the_end_of_the_longer() {
        let lag = replica_lag(WORKLOAD_TTL);
        let week = 7 * WORKLOAD_TTL;
        let longer = record(None, None).with_leaf_life(week, at(0)).unwrap();
        assert_eq!(longer, record(Some(week), None));
        let shorter = longer.with_leaf_life(HOUR, at(1)).unwrap();
        assert_eq!(shorter, record(Some(HOUR), Some(at(1) + week + lag)));
        // A short life in between makes nothing forgotten.
        let two = shorter.with_leaf_life(2 * HOUR, at(2)).unwrap();
        let one = two.with_leaf_life(HOUR, at(3)).unwrap();
        assert_eq!(one, shorter);
    }

    #[test]
    fn a_fraction_of_a_second_is_not_written_again_and_again() {
        let ttl = Duration::from_millis(1500);
        let noted = record(None, None).with_leaf_life(ttl, at(0)).unwrap();
        assert_eq!(noted.leaf_life, Some(2));
        assert_eq!(noted.with_leaf_life(ttl, at(0)), None);
    }

    #[test]
    fn the_last_leaf_is_the_longest_that_anybody_may_have() {
        let check = |record: Record, ttl: Duration, expected: SystemTime| {
            assert_eq!(record.last_leaf_end(ttl, at(0)), unix_seconds(expected));
        };
        let lag = replica_lag(HOUR);
        check(record(Some(HOUR), None), HOUR, at(1) + lag);
        // Another replica has not heard of the shorter life yet.
        check(record(Some(2 * HOUR), None), HOUR, at(2) + lag);
        check(record(None, None), HOUR, at(24) + lag);
        check(record(Some(HOUR), Some(at(30))), HOUR, at(30));
        check(record(Some(HOUR), Some(at(1))), HOUR, at(1) + lag);
    }
}
