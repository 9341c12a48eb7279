//! Who takes part: streams that come, report, beat, fall silent and go.

use std::{sync::Arc, time::Instant};

use super::{Ack, Action, CloseReason, Dialect, Member, Namespace, Order, StreamId};
use crate::Phase;

/// A stream that takes part, or waits to.
#[derive(Debug)]
pub(super) struct Seat<P> {
    pub(super) member: Arc<Member<P>>,
    pub(super) dialect: Dialect,
    /// Has acknowledged the current phase.
    pub(super) acked: bool,
    /// Was sent a table and has not acknowledged it: it may be bringing calls to an end, and some
    /// sidecars read nothing meanwhile.
    pub(super) settling: bool,
    /// Version of the table last sent to it.
    pub(super) holds: Option<u64>,
    /// When it was last heard of: its first message, then its beats.
    pub(super) heard: Instant,
}

/// A host whose stream is gone and whose lease is not over.
#[derive(Debug)]
pub(super) struct Departed<P> {
    pub(super) member: Arc<Member<P>>,
    until: Instant,
    /// It did not acknowledge the table of the round under way.
    pub(super) owes: bool,
}

// === impl Seat ===

impl<P> Seat<P> {
    pub(super) fn new(member: Member<P>, dialect: Dialect, now: Instant) -> Self {
        Self {
            member: Arc::new(member),
            dialect,
            acked: false,
            settling: false,
            holds: None,
            heard: now,
        }
    }
}

// === impl Namespace ===

impl<P> Namespace<P> {
    pub(super) fn join(
        &mut self,
        stream: StreamId,
        seat: Seat<P>,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        if !self.supersede(stream, &seat.member, actions) {
            return;
        }
        if seat.dialect == Dialect::Extended {
            self.expect_beats(now);
        }
        self.queue.insert(stream, seat);
        self.go_on(now, actions);
    }

    pub(super) fn report(
        &mut self,
        stream: StreamId,
        member: Member<P>,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        if let Some(queued) = self.queue.get_mut(&stream) {
            queued.member = Arc::new(member);
            return;
        }
        let Some(seat) = self.seats.get_mut(&stream) else {
            return;
        };
        if !seat.member.same_entities(&member) {
            seat.member = Arc::new(member);
            self.revision += 1;
            self.table_differs();
            self.go_on(now, actions);
        } else if member.is_actor_host() || self.phase().is_some() {
            // An actor host holds the table already, and a round brings it to everybody.
        } else {
            self.send_one_shot(vec![stream], actions);
        }
    }

    /// A message of a sidecar too old to name what it says: any sign of life acknowledges the phase.
    pub(super) fn heartbeat(
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

    /// Extends the lease of a host and tells it so, in this order.
    pub(super) fn beat(
        &mut self,
        stream: StreamId,
        beat: u64,
        now: Instant,
        actions: &mut Vec<Action<P>>,
    ) {
        let seat = match self.seats.get_mut(&stream) {
            None => self.queue.get_mut(&stream),
            seat => seat,
        };
        let Some(seat) = seat.filter(|seat| seat.dialect == Dialect::Extended) else {
            return;
        };
        seat.heard = now;
        actions.push(Action::Send {
            to: vec![stream],
            order: Order::Alive { beat },
        });
    }

    /// A sidecar goes that serves nothing any more.
    pub(super) fn leave(&mut self, stream: StreamId, now: Instant, actions: &mut Vec<Action<P>>) {
        self.queue.remove(&stream);
        if let Some(seat) = self.seats.remove(&stream) {
            self.forget(&seat);
            self.go_on(now, actions);
        }
    }

    /// A stream is gone without a word. Whether its sidecar is gone as well, or only the way to it,
    /// cannot be told.
    pub(super) fn lose(&mut self, stream: StreamId, now: Instant, actions: &mut Vec<Action<P>>) {
        self.queue.remove(&stream);
        if let Some(seat) = self.seats.remove(&stream) {
            self.depart(stream, seat, now);
            self.go_on(now, actions);
        }
    }

    /// Ends the streams that `held_up` chooses. Their hosts may serve until their lease is over.
    pub(super) fn expel(
        &mut self,
        reason: CloseReason,
        held_up: impl Fn(&Seat<P>) -> bool,
        (now, actions): (Instant, &mut Vec<Action<P>>),
    ) {
        let gone: Vec<_> = self.seats.extract_if(.., |_, seat| held_up(seat)).collect();
        for (stream, seat) in gone {
            actions.push(Action::Close { stream, reason });
            self.depart(stream, seat, now);
        }
    }

    /// Looks for streams that promised beats and fell silent, and for leases that are over.
    pub(super) fn call_roll(&mut self, now: Instant, actions: &mut Vec<Action<P>>) {
        let after = self.settings.grace();
        let silent = |seat: &Seat<P>| {
            seat.dialect == Dialect::Extended && now.saturating_duration_since(seat.heard) >= after
        };
        self.expel(CloseReason::Silent { after }, silent, (now, actions));
        for (stream, _) in self.queue.extract_if(.., |_, seat| silent(seat)) {
            let reason = CloseReason::Silent { after };
            actions.push(Action::Close { stream, reason });
        }
        let over = self.departed.extract_if(.., |_, host| now >= host.until);
        if over.count() > 0 {
            self.table_differs();
        }
        self.roll_call = None;
        let extended = |seat: &Seat<P>| seat.dialect == Dialect::Extended;
        let seats = self.seats.values().chain(self.queue.values());
        if !self.departed.is_empty() || seats.into_iter().any(extended) {
            self.expect_beats(now);
        }
        self.go_on(now, actions);
    }

    pub(super) fn seat_queue(&mut self) {
        self.revision += 1;
        self.seats.append(&mut self.queue);
    }

    /// Of several streams of one host the newest counts. The host's process has begun anew, or has
    /// given up what it served before it came back: nothing has to be waited for. `false`: this one is
    /// not the newest, its first message was late.
    fn supersede(
        &mut self,
        stream: StreamId,
        newest: &Member<P>,
        actions: &mut Vec<Action<P>>,
    ) -> bool {
        let same = |seat: &Seat<P>| seat.member.same_host(newest);
        let reason = CloseReason::Superseded;
        let newer = self.seats.range(stream..).chain(self.queue.range(stream..));
        let newer = newer.map(|(_, seat)| &seat.member);
        // Also one that is gone: it was this host's last word, and its lease is not over.
        let gone = self.departed.range(stream..).map(|(_, host)| &host.member);
        if newer.chain(gone).any(|member| member.same_host(newest)) {
            actions.push(Action::Close { stream, reason });
            return false;
        }
        let waiting = self.queue.extract_if(.., |_, seat| same(seat));
        let mut gone: Vec<StreamId> = waiting.map(|(stream, _)| stream).collect();
        let seated: Vec<_> = self.seats.extract_if(.., |_, seat| same(seat)).collect();
        for (stream, seat) in seated {
            gone.push(stream);
            self.forget(&seat);
        }
        let closed = gone.into_iter();
        actions.extend(closed.map(|stream| Action::Close { stream, reason }));
        let departed = |host: &Departed<P>| host.member.same_host(newest);
        if self
            .departed
            .extract_if(.., |_, host| departed(host))
            .count()
            > 0
        {
            self.table_differs();
        }
        true
    }

    /// A seat that was taken out serves no longer.
    fn forget(&mut self, seat: &Seat<P>) {
        self.count_out(seat);
        if self.takes_part(&seat.member) {
            self.table_differs();
        }
    }

    /// A seat that was taken out may serve until its lease is over.
    fn depart(&mut self, stream: StreamId, seat: Seat<P>, now: Instant) {
        let until = seat.heard + self.settings.grace();
        let may_serve = seat.dialect == Dialect::Extended && seat.holds.is_some() && now < until;
        if !may_serve || !self.takes_part(&seat.member) {
            return self.forget(&seat);
        }
        self.count_out(&seat);
        let host = Departed {
            owes: self.phase() == Some(Phase::Update) && !seat.acked,
            member: seat.member,
            until,
        };
        self.departed.insert(stream, host);
        self.expect_beats(now);
    }

    fn count_out(&mut self, seat: &Seat<P>) {
        self.revision += 1;
        if self.phase().is_some() && !seat.acked {
            self.missing -= 1;
        }
    }

    /// Whether a member is to be in a table, or is in one that somebody may hold.
    fn takes_part(&self, member: &Member<P>) -> bool {
        let before = self.transition.as_ref().map(|it| &it.before);
        let mut tables = before.into_iter().chain([&self.table]);
        member.is_actor_host() || tables.any(|table| table.has_host(&member.name))
    }

    /// The table of a round in its first phase is yet to be made.
    fn table_differs(&mut self) {
        if self.phase() != Some(Phase::Lock) {
            self.stale = true;
        }
    }

    /// Arms the roll call. It comes several times within a lease, so that one counts as over soon
    /// after it is.
    fn expect_beats(&mut self, now: Instant) {
        let next = now + self.settings.lease / super::CLOCK_ALLOWANCE;
        self.roll_call.get_or_insert(next);
    }

    /// Whether rounds have to wait for hosts of an earlier server.
    pub(super) fn unsettled(&self, now: Instant) -> Option<Instant> {
        (self.inherited && now < self.settled_at).then_some(self.settled_at)
    }
}
