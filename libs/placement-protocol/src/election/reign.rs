//! Who has promised themselves to a leader, and until when that lets it lead.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::{Replica, Settings};

#[derive(Debug)]
pub(super) struct Reign {
    pub(super) until: Instant,
    pub(super) next_beat: Instant,
    /// Number and time of each beat that may still be acknowledged to some effect.
    beats: VecDeque<(u64, Instant)>,
    /// When the last beat was sent that each has acknowledged.
    acknowledged: BTreeMap<Replica, Instant>,
}

// === impl Reign ===

impl Reign {
    /// A reign that its votes alone carry until then.
    pub(super) fn new(until: Instant, now: Instant) -> Self {
        Self {
            until,
            next_beat: now,
            beats: VecDeque::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    pub(super) fn sent(&mut self, number: u64, now: Instant, settings: &Settings) {
        self.next_beat = now + settings.beat();
        self.beats.push_back((number, now));
        while let Some((_, sent)) = self.beats.front()
            && now.duration_since(*sent) > settings.lease()
        {
            self.beats.pop_front();
        }
    }

    pub(super) fn acknowledged(&mut self, from: Replica, number: u64) {
        let Some((_, sent)) = self.beats.iter().find(|(it, _)| *it == number) else {
            return;
        };
        let last = self.acknowledged.entry(from).or_insert(*sent);
        *last = (*last).max(*sent);
    }

    /// The later end, if those who acknowledged allow one.
    pub(super) fn renew(&mut self, now: Instant, settings: &Settings) -> Option<Instant> {
        let mut sent: Vec<Instant> = self.acknowledged.values().copied().collect();
        sent.sort_unstable_by(|one, other| other.cmp(one));
        // The leader itself is one of the quorum.
        let oldest = match settings.quorum() - 1 {
            0 => now,
            others => *sent.get(others - 1)?,
        };
        let until = oldest + settings.lease();
        (until > self.until).then(|| {
            self.until = until;
            until
        })
    }
}
