//! The server half: one namespace, its streams, its version and the round under way.
//!
//! A stream is one sidecar's connection. Streams with at least one actor type are in the table;
//! the others take part in rounds, but never cause one by coming or going: on arrival they get the
//! current table by themselves.
//!
//! What happens while a round runs is folded into the next one: arrivals wait in a queue, and a
//! departure or a report after the table was handed out marks it as stale. Nothing restarts a round.
//!
//! A host that keeps beats ([`Dialect::Extended`]) and falls silent may go on serving its actors until
//! its lease is over. Until then it is remembered as departed: the types that it hosts stay as they
//! are, and a round that took actors from it before it let go of them does not end. All other types
//! go on.

mod action;
mod event;
mod member;
mod membership;
mod round;
mod table;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::Phase;
use membership::{Departed, Seat};
use round::Transition;

pub use action::{Action, CloseReason, Order};
pub use event::{Ack, Event};
pub use member::{Dialect, Member};
pub use table::{Delta, Hosts, Table, TypeDelta};

/// Names one stream. Streams that were opened later have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// How a namespace runs its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a sidecar may take to bring to an end what a table takes from it.
    pub timeout: Duration,
    /// How long a sidecar may take to acknowledge an order that leaves it nothing to do.
    pub straggler: Duration,
    /// How long to gather changes after a round before the next one; zero starts it as soon as it is
    /// wanted and the last one is over for as long as it took.
    pub coalesce: Duration,
    /// How long a sidecar that keeps beats may serve actors after it sent the last one that was
    /// answered.
    pub lease: Duration,
}

/// Who is connected in one namespace, and the round under way.
///
/// `P` is what a sidecar reported about itself beyond the parts that matter here; it travels along
/// into the table.
#[derive(Debug)]
pub struct Namespace<P> {
    settings: Settings,
    /// Until then hosts of an earlier server may serve actors unknown to this one.
    settled_at: Instant,
    /// Somebody came who was in a table of an earlier server.
    inherited: bool,
    version: u64,
    stage: Stage,
    seats: BTreeMap<StreamId, Seat<P>>,
    /// Arrived during a round, or while changes are being gathered.
    queue: BTreeMap<StreamId, Seat<P>>,
    /// Gone, perhaps still serving.
    departed: BTreeMap<StreamId, Departed<P>>,
    /// What was handed out last.
    table: Arc<Table<P>>,
    /// What the round under way changes, from its second phase on.
    transition: Option<Transition<P>>,
    /// Seats that have not acknowledged the current phase.
    missing: usize,
    /// Who hosts what differs from the table.
    stale: bool,
    /// Counts changes of who takes part.
    revision: u64,
    /// When to look for streams that fell silent; `None` while nobody keeps beats.
    roll_call: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Gathering {
        until: Instant,
    },
    Round {
        phase: Phase,
        began: Instant,
        /// When the phase began.
        since: Instant,
        /// When to look at who holds it up.
        wake: Instant,
    },
}

/// A lease is counted on two clocks: what one of them may run faster than the other, and more.
const CLOCK_ALLOWANCE: u32 = 6;

// === impl Settings ===

impl Settings {
    /// How long a silent sidecar counts as serving: its lease, and an allowance of a sixth for
    /// clocks that do not run alike.
    pub fn grace(&self) -> Duration {
        self.lease + self.lease / CLOCK_ALLOWANCE
    }
}

// === impl Namespace ===

impl<P> Namespace<P> {
    /// A namespace without streams, at version 0.
    ///
    /// Before `settled_at` sidecars of an earlier server's tables may exist that have not come back
    /// yet: as soon as one comes that says so, rounds wait until then.
    pub fn new(settings: Settings, settled_at: Instant) -> Self {
        Self {
            settings,
            settled_at,
            inherited: false,
            version: 0,
            stage: Stage::Idle,
            seats: BTreeMap::new(),
            queue: BTreeMap::new(),
            departed: BTreeMap::new(),
            table: Arc::new(Table::empty()),
            transition: None,
            missing: 0,
            stale: false,
            revision: 0,
            roll_call: None,
        }
    }

    /// Takes in what happened at `now` and says what to do about it, in order.
    ///
    /// Events of streams that are not, or no longer, part of the namespace change nothing.
    pub fn step(&mut self, event: Event<P>, now: Instant) -> Vec<Action<P>> {
        let mut actions = Vec::new();
        let out = &mut actions;
        match event {
            Event::Joined {
                stream,
                member,
                dialect,
                returning,
            } => {
                self.inherited |= returning;
                self.join(stream, Seat::new(member, dialect, now), now, out);
            }
            Event::Reported { stream, member } => self.report(stream, member, now, out),
            Event::Acked { stream, ack } => self.acknowledge(stream, ack, now, out),
            Event::Beat { stream, beat } => self.beat(stream, beat, now, out),
            Event::Heartbeat { stream, member } => self.heartbeat(stream, member, now, out),
            Event::Left { stream } => self.leave(stream, now, out),
            Event::Closed { stream } => self.lose(stream, now, out),
            Event::Tick => self.tick(now, out),
        }
        actions
    }

    /// When to come back with [`Event::Tick`], unless another event comes first.
    pub fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Idle => None,
            Stage::Gathering { until } => Some(until),
            Stage::Round { wake, .. } => Some(wake),
        };
        [stage, self.roll_call].into_iter().flatten().min()
    }

    /// Nobody is connected, and nobody serves: the namespace, version included, can be forgotten.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.queue.is_empty() && self.departed.is_empty()
    }

    /// Version of the current or last round; 0 before the first.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The phase of the round under way.
    pub fn phase(&self) -> Option<Phase> {
        match self.stage {
            Stage::Round { phase, .. } => Some(phase),
            Stage::Idle | Stage::Gathering { .. } => None,
        }
    }

    /// When the round under way began.
    pub fn round_began(&self) -> Option<Instant> {
        match self.stage {
            Stage::Round { began, .. } => Some(began),
            Stage::Idle | Stage::Gathering { .. } => None,
        }
    }

    /// Grows whenever [`hosts`](Self::hosts) or the version may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The table that was handed out last.
    pub fn table(&self) -> &Arc<Table<P>> {
        &self.table
    }

    /// The actor hosts that take part, by name.
    pub fn hosts(&self) -> BTreeMap<&str, &Arc<Member<P>>> {
        let members = self.seats.values().map(|seat| &seat.member);
        members
            .filter(|member| member.is_actor_host())
            .map(|member| (&*member.name, member))
            .collect()
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        if self.roll_call.is_some_and(|at| now >= at) {
            self.call_roll(now, actions);
        }
        match self.stage {
            Stage::Gathering { until } if now >= until => self.fold_pending(now, actions),
            Stage::Round { wake, .. } if now >= wake => self.overtime(now, actions),
            _ => {}
        }
    }

    /// Goes on with whatever a change of the membership may have made possible.
    fn go_on(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        match self.stage {
            Stage::Idle => self.fold_pending(now, actions),
            Stage::Gathering { .. } => {}
            Stage::Round { .. } => self.advance(now, actions),
        }
    }
}

#[cfg(test)]
mod tests;
