//! The server half: one namespace, its streams, its version and the round under way.
//!
//! A stream is one sidecar's connection. Streams with at least one actor type are in the table;
//! the others take part in rounds, but never cause one by coming or going: on arrival they get the
//! current table by themselves.
//!
//! What happens while a round runs is folded into the next one: arrivals wait in a queue, and a
//! departure after the table was handed out marks it as stale. Only a sidecar that reports other
//! types than before restarts the round at once.

mod action;
mod event;
mod member;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::Phase;

pub use action::{Action, CloseReason, Order};
pub use event::{Ack, Event};
pub use member::{Member, Table};

/// Names one stream. Later streams have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// How a namespace runs its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a round may take before those who hold it up are disconnected.
    pub timeout: Duration,
    /// How long to gather changes after a round before the next one; zero starts it at once.
    pub coalesce: Duration,
}

/// Who is connected in one namespace, and the round under way.
///
/// `P` is what a sidecar reported about itself beyond the parts that matter here; it travels along
/// into the table.
#[derive(Debug)]
pub struct Namespace<P> {
    settings: Settings,
    version: u64,
    stage: Stage,
    seats: BTreeMap<StreamId, Seat<P>>,
    /// Arrived during a round, or while changes are being gathered.
    queue: BTreeMap<StreamId, Arc<Member<P>>>,
    /// A host left after the last table was made.
    stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Gathering { until: Instant },
    Round { phase: Phase, until: Instant },
}

#[derive(Debug)]
struct Seat<P> {
    member: Arc<Member<P>>,
    /// Has acknowledged the current phase.
    acked: bool,
    /// Version of the table last sent to it.
    holds: Option<u64>,
}

// === impl Namespace ===

impl<P> Namespace<P> {
    /// A namespace without streams, at version 0.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            version: 0,
            stage: Stage::Idle,
            seats: BTreeMap::new(),
            queue: BTreeMap::new(),
            stale: false,
        }
    }

    /// Takes in what happened at `now` and says what to do about it, in order.
    ///
    /// Events of streams that are not, or no longer, part of the namespace change nothing.
    pub fn step(&mut self, event: Event<P>, now: Instant) -> Vec<Action<P>> {
        let mut actions = Vec::new();
        match event {
            Event::Joined { stream, member } => {
                self.join(stream, Arc::new(member), now, &mut actions)
            }
            Event::Reported { stream, member } => self.report(stream, member, now, &mut actions),
            Event::Acked { stream, ack } => self.acknowledge(stream, ack, now, &mut actions),
            Event::Heartbeat { stream, member } => {
                self.heartbeat(stream, member, now, &mut actions)
            }
            Event::Closed { stream } => self.leave(stream, now, &mut actions),
            Event::Tick => self.tick(now, &mut actions),
        }
        actions
    }

    /// When to come back with [`Event::Tick`], unless another event comes first.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Idle => None,
            Stage::Gathering { until } | Stage::Round { until, .. } => Some(until),
        }
    }

    /// Nobody is connected: the namespace, version included, can be forgotten.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.queue.is_empty()
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

    /// The table as the hosts known now make it.
    pub fn table(&self) -> Table<P> {
        Table::new(self.version, self.seats.values().map(|seat| &seat.member))
    }

    fn join(
        &mut self,
        stream: StreamId,
        member: Arc<Member<P>>,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        self.queue.insert(stream, member);
        if self.stage == Stage::Idle {
            self.fold_pending(now, actions);
        }
    }

    fn report(
        &mut self,
        stream: StreamId,
        member: Member<P>,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        if let Some(queued) = self.queue.get_mut(&stream) {
            *queued = Arc::new(member);
            return;
        }
        let Some(seat) = self.seats.get_mut(&stream) else {
            return;
        };
        if !seat.member.same_entities(&member) {
            seat.member = Arc::new(member);
            self.start_round(now, actions);
        } else if member.is_actor_host() || self.phase().is_some() {
            // An actor host holds the table already, and a round brings it to everybody.
        } else {
            self.send_one_shot(vec![stream], actions);
        }
    }

    fn acknowledge(
        &mut self,
        stream: StreamId,
        ack: Ack,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        let Stage::Round { phase, .. } = self.stage else {
            return;
        };
        let of_this_round = ack.version.is_none_or(|version| version == self.version);
        if ack.phase != phase || !of_this_round {
            return;
        }
        if let Some(seat) = self.seats.get_mut(&stream) {
            seat.acked = true;
            self.advance(now, actions);
        }
    }

    /// A message of a sidecar too old to name what it says: any sign of life acknowledges the phase.
    fn heartbeat(
        &mut self,
        stream: StreamId,
        member: Member<P>,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        if let Some(phase) = self.phase() {
            let ack = Ack {
                phase,
                version: None,
            };
            return self.acknowledge(stream, ack, now, actions);
        }
        let Some(seat) = self.seats.get(&stream) else {
            return self.report(stream, member, now, actions);
        };
        // Such sidecars speak every second: the table they hold is not sent to them again.
        if seat.holds != Some(self.version) || !seat.member.same_entities(&member) {
            self.report(stream, member, now, actions);
        }
    }

    fn leave(&mut self, stream: StreamId, now: Instant, actions: &mut Vec<Action<P>>) {
        self.queue.remove(&stream);
        let Some(seat) = self.seats.remove(&stream) else {
            return;
        };
        // The table of a round in its first phase is yet to be made.
        if seat.member.is_actor_host() && self.phase() != Some(Phase::Lock) {
            self.stale = true;
        }
        match self.stage {
            Stage::Idle => self.fold_pending(now, actions),
            Stage::Gathering { .. } => {}
            Stage::Round { .. } => self.advance(now, actions),
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        match self.stage {
            Stage::Gathering { until } if now >= until => self.fold_pending(now, actions),
            Stage::Round { until, .. } if now >= until => self.expire(now, actions),
            _ => {}
        }
    }

    /// Disconnects those who hold up the round and starts another with the rest.
    fn expire(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let reason = CloseReason::Timeout {
            after: self.settings.timeout,
            version: self.version,
        };
        for (stream, _) in self.seats.extract_if(.., |_, seat| !seat.acked) {
            actions.push(Action::Close { stream, reason });
        }
        if self.seats.is_empty() {
            self.fold_pending(now, actions);
        } else {
            self.start_round(now, actions);
        }
    }

    /// Takes in everything that waited: with one round for all, or, if no actor host came or went,
    /// by handing the current table to those who came.
    fn fold_pending(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        self.stage = Stage::Idle;
        let table_changed = self.stale || self.queue.values().any(|member| member.is_actor_host());
        if table_changed {
            return self.start_round(now, actions);
        }
        let newcomers: Vec<StreamId> = self.queue.keys().copied().collect();
        self.seat_queue();
        if !newcomers.is_empty() {
            self.send_one_shot(newcomers, actions);
        }
    }

    fn seat_queue(&mut self) {
        for (stream, member) in std::mem::take(&mut self.queue) {
            self.seats.insert(
                stream,
                Seat {
                    member,
                    acked: false,
                    holds: None,
                },
            );
        }
    }

    fn start_round(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        self.seat_queue();
        self.stale = false;
        if self.seats.is_empty() {
            self.stage = Stage::Idle;
            return;
        }
        self.version += 1;
        self.enter(Phase::Lock, now + self.settings.timeout, actions);
    }

    fn enter(&mut self, phase: Phase, until: Instant, actions: &mut Vec<Action<P>>) {
        self.stage = Stage::Round { phase, until };
        let order = match phase {
            Phase::Lock => Order::Lock {
                version: self.version,
            },
            Phase::Update => Order::Update {
                table: Arc::new(self.table()),
            },
            Phase::Unlock => Order::Unlock {
                version: self.version,
            },
        };
        for seat in self.seats.values_mut() {
            seat.acked = false;
            if phase == Phase::Update {
                seat.holds = Some(self.version);
            }
        }
        let to = self.seats.keys().copied().collect();
        actions.push(Action::Send { to, order });
    }

    /// Goes to the next phase if everybody who is left acknowledged the current one.
    fn advance(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let Stage::Round { phase, until } = self.stage else {
            return;
        };
        if self.seats.is_empty() {
            return self.finish(now, actions);
        }
        if !self.seats.values().all(|seat| seat.acked) {
            return;
        }
        match phase {
            Phase::Lock => self.enter(Phase::Update, until, actions),
            Phase::Update => self.enter(Phase::Unlock, until, actions),
            Phase::Unlock => self.finish(now, actions),
        }
    }

    fn finish(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        // With nobody left to keep busy there is nothing to gather for.
        if self.settings.coalesce.is_zero() || self.seats.is_empty() {
            self.fold_pending(now, actions);
        } else {
            self.stage = Stage::Gathering {
                until: now + self.settings.coalesce,
            };
        }
    }

    /// Hands the current table to some streams outside any round.
    fn send_one_shot(&mut self, to: Vec<StreamId>, actions: &mut Vec<Action<P>>) {
        for stream in &to {
            if let Some(seat) = self.seats.get_mut(stream) {
                seat.holds = Some(self.version);
            }
        }
        let version = self.version;
        let table = Arc::new(self.table());
        let orders = [
            Order::Lock { version },
            Order::Update { table },
            Order::Unlock { version },
        ];
        actions.extend(orders.map(|order| Action::Send {
            to: to.clone(),
            order,
        }));
    }
}

#[cfg(test)]
mod tests;
