//! How often the same is told: once in a while, and not too much of everything together. Pure.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

use super::{Notice, Outcome};
use crate::pace::Pace;

/// The same outcome of the same owner's pods is told once within this. A controller tries a refused pod again and again,
/// with pauses of up to 15 minutes.
const AGAIN: Duration = Duration::from_secs(600);
/// Events at once, when many owners are told of something; and how long it takes until one more may be.
const BURST: u32 = 50;
const EACH: Duration = Duration::from_secs(1);
/// Owners that are remembered; far more than can be told within [`AGAIN`].
const REMEMBERED: usize = 1000;

/// What was told, and how much may be told now.
#[derive(Debug)]
pub(crate) struct Schedule {
    told: BTreeMap<Key, Instant>,
    pace: Pace,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    namespace: String,
    kind: String,
    name: String,
    outcome: Outcome,
}

/// What becomes of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is told.
    Now,
    /// It was told a short while ago.
    Known,
    /// Too much was told a short while ago.
    TooMany,
}

impl Schedule {
    /// Nothing was told yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            told: BTreeMap::new(),
            pace: Pace::new(BURST, EACH, now),
        }
    }

    /// What becomes of a notice that comes at `now`.
    pub(crate) fn turn(&mut self, notice: &Notice, now: Instant) -> Turn {
        self.told.retain(|_, at| *at + AGAIN > now);
        let key = Key::of(&notice.regarding, notice.outcome);
        if self.told.contains_key(&key) {
            return Turn::Known;
        }
        if self.pace.next() > now || self.told.len() >= REMEMBERED {
            return Turn::TooMany;
        }
        self.pace.take(now);
        self.told.insert(key, now);
        Turn::Now
    }
}

impl Key {
    fn of(object: &ObjectReference, outcome: Outcome) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            namespace: text(&object.namespace),
            kind: text(&object.kind),
            name: text(&object.name),
            outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(name: &str, outcome: Outcome) -> Notice {
        Notice {
            regarding: ObjectReference {
                name: Some(name.to_owned()),
                ..ObjectReference::default()
            },
            outcome,
            note: String::new(),
        }
    }

    #[test]
    fn the_same_is_told_once_in_a_while() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let refused = notice("a", Outcome::Refused);
        assert_eq!(schedule.turn(&refused, now), Turn::Now);
        assert_eq!(schedule.turn(&refused, now + EACH), Turn::Known);
        assert_eq!(schedule.turn(&notice("a", Outcome::Warned), now), Turn::Now);
        assert_eq!(
            schedule.turn(&notice("b", Outcome::Refused), now),
            Turn::Now
        );
        assert_eq!(schedule.turn(&refused, now + AGAIN), Turn::Now);
    }

    #[test]
    fn a_burst_has_an_end_and_goes_on_with_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let mut turn =
            |number: u32, now| schedule.turn(&notice(&number.to_string(), Outcome::Refused), now);
        for number in 0..BURST {
            assert_eq!(turn(number, now), Turn::Now, "{number}");
        }
        assert_eq!(turn(BURST, now), Turn::TooMany);
        assert_eq!(turn(BURST, now + EACH), Turn::Now);
        assert_eq!(turn(BURST + 1, now + EACH), Turn::TooMany);
    }
}
