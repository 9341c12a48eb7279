//! The client half: what a sidecar does with the orders of placement.
//!
//! The outcome is a [`Routing`], replaced whole and meant to be read without locks: who owns which
//! actor, which types are held back because a round moves them, and whether there is a table at all.
//! Every other action concerns the stream or the actors hosted here.

//!
//! Towards a placement that gives leases, this sidecar sends beats, and calls hosted actors only until
//! the lease of the last answered one is over. Placement gives a silent host's actors to others
//! later than that, so that even a sidecar that is cut off serves nothing that somebody else does.

mod action;
mod event;
mod lease;
mod routing;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::Phase;

use lease::Beats;

pub use action::{Action, Lease, ProtocolError};
pub use event::{Delta, Event, HostEntry, Tables, TypeDelta};
pub use routing::{Held, HostRef, Routing, TypeRoute};

/// A sidecar's view of dissemination.
#[derive(Debug)]
pub struct Client {
    timeout: Duration,
    entities: Vec<Arc<str>>,
    connected: bool,
    /// Version of the last `lock` of this stream.
    locked: Option<u64>,
    progress: Progress,
    /// When the next order of the round is due.
    due: Option<Instant>,
    /// Types whose calls may still be under way on the table before the last.
    unsettled: BTreeSet<Arc<str>>,
    beats: Beats,
    routing: Arc<Routing>,
}

/// How far the last table of this stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// None yet, or unlocked.
    Rest,
    /// Installed; what it moves away is being brought to an end. `unlocked`: its `unlock` came already,
    /// as it does when placement sends all three orders at once.
    Settling { version: u64, unlocked: bool },
    /// Acknowledged; its `unlock` is to come.
    Acknowledged { version: u64 },
}

// === impl Client ===

impl Client {
    /// A sidecar that is not connected. `timeout`: how long to wait for the next order of a round.
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            entities: Vec::new(),
            connected: false,
            locked: None,
            progress: Progress::Rest,
            due: None,
            unsettled: BTreeSet::new(),
            beats: Beats::default(),
            routing: Arc::default(),
        }
    }

    /// Takes in what happened at `now` and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Connected => self.connect(&mut actions),
            Event::Accepted { lease } => self.beats.begin(lease, now, &mut actions),
            Event::Lost => self.lose(&mut actions),
            Event::Hosting(entities) => self.host(entities, &mut actions),
            Event::Lock { version } => self.lock(version, now, &mut actions),
            Event::Update { version, tables } => {
                let next = self.routing.with(version, &tables);
                self.update(version, next, &mut actions);
            }
            Event::Delta { version, delta } => self.apply(version, &delta, &mut actions),
            Event::Settled { version } => self.settled(version, now, &mut actions),
            Event::Release { version, types } => self.release_early(version, &types, &mut actions),
            Event::Unlock { version } => self.unlock(version, &mut actions),
            Event::Alive { beat } => self.beats.answered(beat, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
        }
        actions
    }

    /// When to come back with [`Event::Tick`], unless another event comes first.
    pub fn deadline(&self) -> Option<Instant> {
        [self.due, self.beats.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Who owns what, as last published.
    pub fn routing(&self) -> &Arc<Routing> {
        &self.routing
    }

    fn connect(&mut self, actions: &mut Vec<Action>) {
        self.connected = true;
        actions.push(Action::Report {
            entities: self.entities.clone(),
        });
    }

    /// Without its stream a sidecar must assume that others have taken over its actors, and cannot
    /// know who owns the rest. It keeps nothing: types held back by the broken round are held no
    /// longer, and the first table of the next stream moves everything.
    fn lose(&mut self, actions: &mut Vec<Action>) {
        let by = self.beats.lease_end();
        *self = Self {
            entities: std::mem::take(&mut self.entities),
            ..Self::new(self.timeout)
        };
        actions.push(Action::Lease(Lease::Over));
        actions.push(Action::Publish(Arc::clone(&self.routing)));
        actions.push(Action::HaltAll { by });
    }

    fn host(&mut self, mut entities: Vec<Arc<str>>, actions: &mut Vec<Action>) {
        entities.sort_unstable();
        entities.dedup();
        if entities == self.entities {
            return;
        }
        self.entities = entities;
        if self.connected {
            actions.push(Action::Report {
                entities: self.entities.clone(),
            });
        }
    }

    fn lock(&mut self, version: u64, now: Instant, actions: &mut Vec<Action>) {
        if let Some(error) = self.backwards(version) {
            return actions.push(Action::Close(error));
        }
        self.locked = Some(version);
        self.due = Some(now + self.timeout);
        actions.push(Action::Acknowledge {
            phase: Phase::Lock,
            version,
        });
    }

    fn apply(&mut self, version: u64, delta: &Delta, actions: &mut Vec<Action>) {
        let (base, held) = (delta.base, self.routing.version());
        if held != Some(base) {
            let error = ProtocolError::MissingBase { base, held };
            return actions.push(Action::Close(error));
        }
        let next = self.routing.patched(version, delta);
        self.update(version, next, actions);
    }

    fn update(
        &mut self,
        version: u64,
        (routing, moved): (Routing, BTreeSet<Arc<str>>),
        actions: &mut Vec<Action>,
    ) {
        if let Some(error) = self.backwards(version) {
            return actions.push(Action::Close(error));
        }
        self.routing = Arc::new(routing);
        self.unsettled.extend(moved);
        self.locked = Some(version);
        self.progress = Progress::Settling {
            version,
            unlocked: false,
        };
        // How long settling takes is up to this side, and bounded there.
        self.due = None;
        actions.push(Action::Publish(Arc::clone(&self.routing)));
        actions.push(Action::Settle {
            version,
            moved: self.unsettled.iter().cloned().collect(),
        });
    }

    fn settled(&mut self, settled: u64, now: Instant, actions: &mut Vec<Action>) {
        let Progress::Settling { version, unlocked } = self.progress else {
            return;
        };
        if version != settled {
            return;
        }
        self.unsettled.clear();
        self.progress = Progress::Acknowledged { version };
        actions.push(Action::Acknowledge {
            phase: Phase::Update,
            version,
        });
        if unlocked {
            self.unlock(version, actions);
        } else {
            self.due = Some(now + self.timeout);
        }
    }

    /// Comes only for a table that was acknowledged here; after a later `update` it means nothing.
    fn release_early(&mut self, version: u64, types: &[Arc<str>], actions: &mut Vec<Action>) {
        if self.progress == (Progress::Acknowledged { version }) {
            self.routing = Arc::new(self.routing.without_holding(types));
            actions.push(Action::Publish(Arc::clone(&self.routing)));
        }
    }

    fn unlock(&mut self, version: u64, actions: &mut Vec<Action>) {
        match &mut self.progress {
            Progress::Settling {
                version: settling,
                unlocked,
            } if version >= *settling => *unlocked = true,
            Progress::Acknowledged {
                version: acknowledged,
            } if version >= *acknowledged => {
                self.release(version, actions);
            }
            _ => actions.push(Action::Ignored {
                phase: Phase::Unlock,
                version,
            }),
        }
    }

    fn release(&mut self, version: u64, actions: &mut Vec<Action>) {
        self.progress = Progress::Rest;
        if self.locked.is_none_or(|locked| locked <= version) {
            self.due = None;
        }
        self.routing = Arc::new(self.routing.released());
        actions.push(Action::Publish(Arc::clone(&self.routing)));
        actions.push(Action::Acknowledge {
            phase: Phase::Unlock,
            version,
        });
        actions.push(Action::Ready);
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.beats.tick(now, actions);
        if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            let version = self.locked.unwrap_or_default();
            actions.push(Action::Close(ProtocolError::Timeout {
                after: self.timeout,
                version,
            }));
        }
    }

    fn backwards(&self, version: u64) -> Option<ProtocolError> {
        let expected = self.locked.filter(|locked| version < *locked)?;
        Some(ProtocolError::VersionMismatch {
            expected,
            got: version,
        })
    }
}

#[cfg(test)]
mod tests;
