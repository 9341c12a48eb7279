//! A round: its phases, who holds it up, and what follows it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Ack, Action, CloseReason, Delta, Dialect, Namespace, Order, Stage, StreamId, Table,
    membership::Seat,
};
use crate::Phase;

/// A change of tables that is not over.
#[derive(Debug)]
pub(super) struct Transition<P> {
    pub(super) before: Arc<Table<P>>,
    changed: BTreeSet<Arc<str>>,
    /// Those of `changed` that can be called again.
    released: BTreeSet<Arc<str>>,
}

/// How often a round in its second phase looks which types can be called again. Most rounds are over
/// before the first time.
const RELEASE_EVERY: Duration = Duration::from_millis(100);

/// The longest rest after a round. It gathers what happens meanwhile, and leaves half the time to
/// other work when changes never cease.
const REST_AT_MOST: Duration = Duration::from_millis(250);

// === impl Namespace ===

impl<P> Namespace<P> {
    pub(super) fn acknowledge(
        &mut self,
        stream: StreamId,
        ack: Ack,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        let of_this_round = ack.version.is_none_or(|version| version == self.version);
        let current = self.phase() == Some(ack.phase) && of_this_round;
        let Some(seat) = self.seats.get_mut(&stream) else {
            return;
        };
        if ack.phase != Phase::Lock && ack.version >= seat.holds {
            seat.settling = false;
        }
        if !current || std::mem::replace(&mut seat.acked, true) {
            return;
        }
        self.missing -= 1;
        if ack.phase == Phase::Update && seat.dialect == Dialect::Extended {
            self.tell_released(stream, actions);
        }
        self.advance(now, actions);
    }

    /// Takes in everything that waited: with one round for all, or, if no actor host came or went,
    /// by handing the current table to those who came.
    pub(super) fn fold_pending(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        self.stage = Stage::Idle;
        if let Some(until) = self.unsettled(now) {
            self.stage = Stage::Gathering { until };
            return;
        }
        let hosts_came = self.queue.values().any(|seat| seat.member.is_actor_host());
        if self.stale || hosts_came {
            return self.start_round(now, actions);
        }
        let newcomers: Vec<StreamId> = self.queue.keys().copied().collect();
        self.seat_queue();
        if !newcomers.is_empty() {
            self.send_one_shot(newcomers, actions);
        }
    }

    /// Goes to the next phase if everybody who is left acknowledged the current one.
    pub(super) fn advance(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let Some(phase) = self.phase() else {
            return;
        };
        if self.missing > 0 {
            return;
        }
        match phase {
            // What was taken from them may go on elsewhere only when they serve no longer.
            Phase::Update if self.departed.values().any(|host| host.owes) => {}
            _ if self.seats.is_empty() => self.finish(now, actions),
            Phase::Lock => {
                self.make_table();
                self.enter(Phase::Update, now, actions);
            }
            Phase::Update => self.enter(Phase::Unlock, now, actions),
            Phase::Unlock => self.finish(now, actions),
        }
    }

    /// The time of those who hold up the round may be over, and some types may be free.
    pub(super) fn overtime(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let Stage::Round { phase, since, .. } = self.stage else {
            return;
        };
        let waited = now.saturating_duration_since(since);
        for (limit, patient) in [(self.straggler(), false), (self.settings.timeout, true)] {
            if waited >= limit {
                let reason = CloseReason::Timeout {
                    after: limit,
                    version: self.version,
                };
                let held_up = |seat: &Seat<P>| {
                    !seat.acked && (patient || !(phase == Phase::Update || seat.settling))
                };
                self.expel(reason, held_up, (now, actions));
            }
        }
        if phase == Phase::Update {
            self.release(actions);
        }
        self.wake_after(now);
        self.advance(now, actions);
    }

    /// Hands the current table to some streams outside any round.
    pub(super) fn send_one_shot(&mut self, to: Vec<StreamId>, actions: &mut Vec<Action<P>>) {
        let version = self.version;
        if self.table.version != version {
            self.table = Arc::new(self.table.at(version));
        }
        for stream in &to {
            if let Some(seat) = self.seats.get_mut(stream) {
                seat.holds = Some(version);
                seat.settling = true;
            }
        }
        actions.push(Action::Send {
            to: to.clone(),
            order: Order::Lock { version },
        });
        self.send_whole(&to, actions);
        actions.push(Action::Send {
            to,
            order: Order::Unlock { version },
        });
    }

    fn start_round(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        self.seat_queue();
        self.stale = false;
        if self.seats.is_empty() {
            if self.departed.is_empty() {
                // Nobody serves by the table that there was.
                self.table = Arc::new(Table::empty().at(self.version));
            }
            return;
        }
        self.version += 1;
        self.enter(Phase::Lock, now, actions);
    }

    fn enter(&mut self, phase: Phase, now: Instant, actions: &mut Vec<Action<P>>) {
        let began = self.round_began().unwrap_or(now);
        self.stage = Stage::Round {
            phase,
            began,
            since: now,
            wake: now,
        };
        self.wake_after(now);
        self.missing = self.seats.len();
        self.seats.values_mut().for_each(|seat| seat.acked = false);
        let version = self.version;
        match phase {
            Phase::Lock => self.send_to_all(Order::Lock { version }, actions),
            Phase::Update => self.send_tables(actions),
            Phase::Unlock => self.send_to_all(Order::Unlock { version }, actions),
        }
    }

    /// Sets when to look next who holds up the round.
    fn wake_after(&mut self, now: Instant) {
        let straggler = self.straggler();
        let timeout = self.settings.timeout;
        if let Stage::Round {
            phase, since, wake, ..
        } = &mut self.stage
        {
            let looks = match phase {
                Phase::Update => now + RELEASE_EVERY,
                Phase::Lock | Phase::Unlock => *since + straggler,
            };
            let times = [looks, *since + timeout];
            let next = times.into_iter().filter(|time| *time > now).min();
            *wake = next.unwrap_or(now + RELEASE_EVERY);
        }
    }

    fn straggler(&self) -> Duration {
        self.settings.straggler.min(self.settings.timeout)
    }

    fn make_table(&mut self) {
        let members = self.seats.values().map(|seat| &seat.member);
        let mut next = Table::new(self.version, members);
        for host in self.departed.values() {
            let kept = self.table.types_of(&host.member.name);
            let kept = kept.map(|(entity, hosts)| (Arc::clone(entity), hosts.clone()));
            next.types.extend(kept);
        }
        let before = std::mem::replace(&mut self.table, Arc::new(next));
        self.transition = Some(Transition {
            before,
            changed: BTreeSet::new(),
            released: BTreeSet::new(),
        });
    }

    /// What changes goes to those who hold what it applies to, the whole table to everybody else.
    fn send_tables(&mut self, actions: &mut Vec<Action<P>>) {
        let Some(transition) = &mut self.transition else {
            return;
        };
        let delta = Arc::new(Delta::between(&transition.before, &self.table));
        transition.changed = delta.types.keys().cloned().collect();
        let (mut to_change, mut to_replace) = (Vec::new(), Vec::new());
        for (stream, seat) in &mut self.seats {
            let holds_base = seat.holds == Some(delta.base);
            if holds_base && seat.dialect == Dialect::Extended {
                to_change.push(*stream);
            } else {
                to_replace.push(*stream);
            }
            seat.holds = Some(self.version);
            seat.settling = true;
        }
        if !to_change.is_empty() {
            actions.push(Action::Send {
                to: to_change,
                order: Order::Delta { delta },
            });
        }
        self.send_whole(&to_replace, actions);
    }

    /// Sends the whole table, to each in the words of its dialect.
    fn send_whole(&self, streams: &[StreamId], actions: &mut Vec<Action<P>>) {
        for dialect in [Dialect::Extended, Dialect::Plain] {
            let speaks = |it: &StreamId| self.seats.get(it).is_some_and(|it| it.dialect == dialect);
            let to: Vec<StreamId> = streams.iter().copied().filter(speaks).collect();
            if !to.is_empty() {
                let table = Arc::clone(&self.table);
                let order = Order::Update { table, dialect };
                actions.push(Action::Send { to, order });
            }
        }
    }

    fn send_to_all(&self, order: Order<P>, actions: &mut Vec<Action<P>>) {
        let to = self.seats.keys().copied().collect();
        actions.push(Action::Send { to, order });
    }

    /// Frees the types of which no host is left that still has to let go of something.
    fn release(&mut self, actions: &mut Vec<Action<P>>) {
        let Some(transition) = &mut self.transition else {
            return;
        };
        let late = self.seats.values().filter(|seat| !seat.acked);
        let owing = self.departed.values().filter(|host| host.owes);
        let names = late
            .map(|seat| &seat.member)
            .chain(owing.map(|host| &host.member));
        let mut free: BTreeSet<&Arc<str>> = transition.changed.iter().collect();
        for name in names.map(|member| &member.name) {
            free.retain(|entity| !transition.hosted_before(entity, name));
        }
        free.retain(|entity| !transition.released.contains(*entity));
        let types: Vec<Arc<str>> = free.into_iter().cloned().collect();
        if types.is_empty() {
            return;
        }
        transition.released.extend(types.iter().cloned());
        let told = |seat: &Seat<P>| seat.acked && seat.dialect == Dialect::Extended;
        let to: Vec<StreamId> = self
            .seats
            .iter()
            .filter(|(_, seat)| told(seat))
            .map(|(stream, _)| *stream)
            .collect();
        if !to.is_empty() {
            let version = self.version;
            let order = Order::Release { version, types };
            actions.push(Action::Send { to, order });
        }
    }

    /// Tells a stream that has just acknowledged the table what was released before.
    fn tell_released(&self, stream: StreamId, actions: &mut Vec<Action<P>>) {
        let released = self.transition.as_ref().map(|it| &it.released);
        if let Some(released) = released.filter(|released| !released.is_empty()) {
            let order = Order::Release {
                version: self.version,
                types: released.iter().cloned().collect(),
            };
            let to = vec![stream];
            actions.push(Action::Send { to, order });
        }
    }

    fn finish(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let began = self.round_began().unwrap_or(now);
        self.transition = None;
        // Whoever was in the table is gone before it could be made anew.
        self.stale |= self.seats.is_empty();
        let pending = self.stale || !self.queue.is_empty();
        let rest = now.saturating_duration_since(began).min(REST_AT_MOST);
        let pause = match self.settings.coalesce {
            // With nobody left to keep busy there is nothing to gather for.
            _ if self.seats.is_empty() => Duration::ZERO,
            Duration::ZERO if pending => rest,
            configured => configured,
        };
        if pause.is_zero() {
            self.fold_pending(now, actions);
        } else {
            let until = now + pause;
            self.stage = Stage::Gathering { until };
        }
    }
}

// === impl Transition ===

impl<P> Transition<P> {
    fn hosted_before(&self, entity: &str, name: &str) -> bool {
        let hosts = self.before.types.get(entity);
        hosts.is_some_and(|hosts| hosts.contains_key(name))
    }
}
