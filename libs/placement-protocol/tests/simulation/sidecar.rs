//! A simulated sidecar: its client machine, the calls that it lets through, and what befalls it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use trilby_placement_protocol::{
    client::{Action, Client, Event, HostRef, Lease, TypeRoute},
    server::Dialect,
};

use crate::{calls::IDS, clock::Clock, random::Random};

/// Which kind of sidecar is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// Ours.
    Trilby,
    /// Upstream's: no lease, whole tables, and calls under way outlive the stream for a while.
    Upstream,
}

/// A call of an actor that this sidecar let through to its app.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) entity: Arc<str>,
    pub(crate) id: usize,
    pub(crate) ends: Duration,
}

#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) model: Model,
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    /// Its open stream.
    pub(crate) link: Option<usize>,
    /// Grows with each process: timers of an earlier one mean nothing.
    pub(crate) incarnation: u64,
    pub(crate) alive: bool,
    pub(crate) frozen_until: Duration,
    pub(crate) hosting: Vec<Arc<str>>,
    pub(crate) had_table: bool,
    pub(crate) calls: BTreeMap<u64, Call>,
    /// A round whose consequences are being carried out, and when that is over.
    pub(crate) settling: Option<(u64, Duration)>,
    /// Calls under way when the stream was lost end by then, and only then it connects again.
    pub(crate) halting_until: Option<Duration>,
    gate: Lease,
    /// Which ids are owned here, by type: hashed once for each route, for that is what takes the time of a run.
    owned: BTreeMap<Arc<str>, Owned>,
}

#[derive(Debug)]
struct Owned {
    route: Arc<TypeRoute>,
    ids: [bool; IDS.len()],
}

/// How long calls of moved actors may take to end.
const DRAIN: Duration = Duration::from_millis(400);

/// Something that a sidecar wants of the world.
#[derive(Debug)]
pub(crate) enum Wish {
    Say(Upward),
    /// End the stream without a word, and come back.
    Hang,
}

/// A message to the server.
#[derive(Debug, Clone)]
pub(crate) enum Upward {
    Report(Vec<Arc<str>>),
    Ack(trilby_placement_protocol::Phase, u64),
    Beat(u64),
    Goodbye,
}

impl Sidecar {
    pub(crate) fn new(index: usize, model: Model, clock: Clock) -> Self {
        Self {
            model,
            name: format!("10.0.0.{index}:50002"),
            clock,
            client: Client::new(Duration::from_secs(30)),
            link: None,
            incarnation: 0,
            alive: true,
            frozen_until: Duration::ZERO,
            hosting: Vec::new(),
            had_table: false,
            calls: BTreeMap::new(),
            settling: None,
            halting_until: None,
            gate: Lease::Over,
            owned: BTreeMap::new(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.model {
            Model::Trilby => Dialect::Extended,
            Model::Upstream => Dialect::Plain,
        }
    }

    /// A new process in the place of the last.
    pub(crate) fn begin_anew(&mut self) {
        self.client = Client::new(Duration::from_secs(30));
        self.incarnation += 1;
        self.alive = true;
        self.frozen_until = Duration::ZERO;
        self.had_table = false;
        self.calls.clear();
        self.settling = None;
        self.halting_until = None;
        self.gate = Lease::Over;
        self.link = None;
    }

    pub(crate) fn step(&mut self, event: Event, time: Duration) -> Vec<Wish> {
        let now = self.clock.show(time);
        let mut wishes = Vec::new();
        for action in self.client.step(event, now) {
            match action {
                Action::Report { entities } => wishes.push(Wish::Say(Upward::Report(entities))),
                Action::Acknowledge { phase, version } => {
                    wishes.push(Wish::Say(Upward::Ack(phase, version)));
                }
                Action::Beat { beat } => wishes.push(Wish::Say(Upward::Beat(beat))),
                Action::Lease(lease) => self.gate = lease,
                Action::Settle { version, moved } => self.settle(version, &moved, time),
                Action::HaltAll { by } => self.halt(by, time),
                Action::Close(_) => wishes.push(Wish::Hang),
                Action::Publish(_) | Action::Ready => {}
                Action::Ignored { .. } => panic!("the server keeps the protocol: {action:?}"),
            }
        }
        self.had_table |= self.client.routing().version().is_some();
        wishes
    }

    /// Whether a call of an actor is let through here now.
    pub(crate) fn serves(&mut self, entity: &Arc<str>, id: usize, time: Duration) -> bool {
        if !self.alive || !self.is_leased(time) {
            return false;
        }
        let Ok(Some(route)) = self.client.routing().hosts_of(entity) else {
            return false;
        };
        let known = self.owned.get(entity);
        if let Some(known) = known.filter(|it| Arc::ptr_eq(&it.route, route)) {
            return known.ids[id];
        }
        let here = |host: &HostRef| *host.address == *self.name;
        let ids = IDS.map(|id| route.owner(id).is_some_and(here));
        let route = Arc::clone(route);
        self.owned.insert(Arc::clone(entity), Owned { route, ids });
        ids[id]
    }

    pub(crate) fn is_leased(&self, time: Duration) -> bool {
        match self.gate {
            Lease::Over => false,
            Lease::Stream => true,
            Lease::Until(until) => self.clock.show(time) < until,
        }
    }

    pub(crate) fn holds_back(&self) -> bool {
        self.client.routing().moving().next().is_some()
    }

    pub(crate) fn frozen(&self, time: Duration) -> bool {
        time < self.frozen_until
    }

    pub(crate) fn connects(&self) -> bool {
        self.alive && self.link.is_none() && self.halting_until.is_none()
    }

    /// How long to wait before the next stream.
    pub(crate) fn pause(random: &mut Random) -> Duration {
        random.millis(50, 750)
    }

    /// Calls of moved types end within a while, the rest are cut short then.
    fn settle(&mut self, version: u64, moved: &[Arc<str>], time: Duration) {
        let earlier = self.settling.map_or(time, |(_, over)| over);
        let limit = time + DRAIN;
        let of_moved = self
            .calls
            .values_mut()
            .filter(|call| moved.contains(&call.entity));
        let mut over = earlier;
        for call in of_moved {
            call.ends = call.ends.min(limit);
            over = over.max(call.ends);
        }
        self.settling = Some((version, over));
    }

    fn halt(&mut self, by: Option<Instant>, time: Duration) {
        self.settling = None;
        let lease = by.map_or(Duration::MAX, |by| self.clock.when(by).max(time));
        let limit = lease.min(time + DRAIN);
        let mut over = time;
        for call in self.calls.values_mut() {
            call.ends = call.ends.min(limit);
            over = over.max(call.ends);
        }
        self.halting_until = Some(over);
    }
}
