//! A question to everybody, and who has answered.

use std::{collections::BTreeSet, time::Instant};

use super::{Replica, Settings};

#[derive(Debug)]
pub(super) struct Poll {
    pub(super) stage: Stage,
    pub(super) number: u64,
    pub(super) asked: Instant,
    granted: BTreeSet<Replica>,
    refused: BTreeSet<Replica>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Canvass,
    Vote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Won,
    Lost,
}

// === impl Poll ===

impl Poll {
    /// The asker is the first who says yes.
    pub(super) fn new(stage: Stage, number: u64, (me, asked): (Replica, Instant)) -> Self {
        Self {
            stage,
            number,
            asked,
            granted: BTreeSet::from([me]),
            refused: BTreeSet::new(),
        }
    }

    /// The first answer of each counts.
    pub(super) fn count(&mut self, from: Replica, granted: bool) {
        if !self.granted.contains(&from) && !self.refused.contains(&from) {
            let side = match granted {
                true => &mut self.granted,
                false => &mut self.refused,
            };
            side.insert(from);
        }
    }

    pub(super) fn outcome(&self, settings: &Settings) -> Outcome {
        if self.granted.len() >= settings.quorum() {
            Outcome::Won
        } else if self.refused.len() > settings.replicas - settings.quorum() {
            Outcome::Lost
        } else {
            Outcome::Open
        }
    }
}
