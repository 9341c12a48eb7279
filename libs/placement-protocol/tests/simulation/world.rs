//! Everything together: one server after the other, sidecars, streams, and what befalls them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use trilby_placement_protocol::{
    client,
    server::{self, Order, StreamId},
};

use crate::{
    chaos::Plan,
    clock::Clock,
    network::Link,
    orders::{event_of, version_of},
    random::Random,
    server::{SETTINGS, Server},
    sidecar::{Model, Sidecar, Upward, Wish},
};

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Up(usize),
    Down(usize),
    ServerTick,
    SidecarTick(usize, u64),
    Connect(usize, u64),
    /// A sidecar notices that a stream is gone.
    Lost(usize),
    /// The server notices that a stream is gone.
    Gone(usize),
    Settled(usize, u64, u64),
    Halted(usize, u64),
    Restart(usize, u64),
    Call,
    CallEnds(usize, u64, u64),
    Lead,
    Chaos,
    /// A sidecar is told to stop; another takes its place.
    Stop(usize),
}

/// What a run has seen.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcome {
    /// Calls that were let through.
    pub(crate) calls: u64,
    /// Moments at which two sidecars, one of them upstream's, served one actor.
    pub(crate) overlaps: u64,
    /// Moments at which an actor was served while a call of it was under way in a frozen sidecar whose
    /// lease was over.
    pub(crate) frozen_overlaps: u64,
    pub(crate) rounds: u64,
    pub(crate) leaders: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) time: Duration,
    origin: Instant,
    agenda: BTreeMap<(Duration, u64), What>,
    entries: u64,
    pub(crate) server: Server,
    pub(crate) sidecars: Vec<Sidecar>,
    pub(crate) links: Vec<Link>,
    /// Highest version sent on each link.
    versions: BTreeMap<usize, u64>,
    pub(crate) types: Vec<Arc<str>>,
    pub(crate) outcome: Outcome,
    /// Numbers calls.
    pub(crate) calls: u64,
    server_tick: Option<Duration>,
    /// Rounds when somebody last came, went, or hosted something else.
    rounds_before_rest: u64,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only an origin: all time passes by hand"
        )]
        let origin = Instant::now();
        let mut random = Random::new(seed);
        let mut clock = || {
            Clock::new(
                origin,
                950 + u32::try_from(random.below(101)).expect("small"),
            )
        };
        let server = Server::new(clock());
        let sidecars =
            (0..plan.sidecars).map(|index| Sidecar::new(index, plan.model(index), clock()));
        let sidecars = sidecars.collect();
        Self {
            random,
            time: Duration::ZERO,
            origin,
            agenda: BTreeMap::new(),
            entries: 0,
            server,
            sidecars,
            links: Vec::new(),
            versions: BTreeMap::new(),
            types: (0..plan.types).map(|n| format!("type{n}").into()).collect(),
            outcome: Outcome::default(),
            calls: 0,
            server_tick: None,
            rounds_before_rest: 0,
            plan,
        }
    }

    /// Trouble for as long as planned, then peace; everybody must agree in the end.
    pub(crate) fn run(mut self) -> Outcome {
        for index in 0..self.sidecars.len() {
            self.host_something(index);
            let at = self.random.millis(0, 500);
            self.at(at, What::Connect(index, 0));
        }
        self.at(Duration::from_millis(5), What::Call);
        match self.plan.rollout {
            true => self.roll_out(),
            false => self.at(Duration::from_millis(300), What::Chaos),
        }
        self.until(self.plan.trouble);
        let peace = self.plan.trouble + PEACE;
        self.until(peace);
        let version = self.server.namespace.version();
        self.until(peace + Duration::from_secs(3));
        assert_eq!(version, self.server.namespace.version(), "rounds cease");
        let rounds = self.outcome.rounds - self.rounds_before_rest;
        assert!(rounds <= 3, "{rounds} rounds after all changes");
        self.check_agreement();
        self.outcome
    }

    fn until(&mut self, end: Duration) {
        while let Some(entry) = self.agenda.first_entry() {
            let (time, _) = *entry.key();
            if time > end {
                break;
            }
            let what = entry.remove();
            self.time = time;
            self.happen(what);
        }
        self.time = end;
    }

    pub(crate) fn at(&mut self, time: Duration, what: What) {
        self.entries += 1;
        self.agenda.insert((time, self.entries), what);
    }

    pub(crate) fn later(&mut self, after: Duration, what: What) {
        self.at(self.time + after, what);
    }

    pub(crate) fn clock(&mut self) -> Clock {
        let rate = 950 + u32::try_from(self.random.below(101)).expect("small");
        Clock::new(self.origin, rate)
    }

    pub(crate) fn delay(&mut self) -> Duration {
        match self.random.chance(3) {
            true => self.random.millis(20, 900),
            false => self.random.millis(0, 20),
        }
    }

    /// Tells what happens, if asked to by `SIMULATION_TRACE`.
    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if self.plan.trace {
            println!("{:>10.3?} {}", self.time, what());
        }
    }

    /// Until when the one whom it concerns is frozen.
    fn frozen_until(&self, what: &What) -> Option<Duration> {
        let until = match what {
            What::Up(_) | What::ServerTick | What::Gone(_) => self.server.frozen_until,
            What::Down(link) | What::Lost(link) => {
                self.sidecars[self.links[*link].sidecar].frozen_until
            }
            What::SidecarTick(index, _)
            | What::Connect(index, _)
            | What::Settled(index, ..)
            | What::Halted(index, _) => self.sidecars[*index].frozen_until,
            What::Restart(..)
            | What::Call
            | What::CallEnds(..)
            | What::Lead
            | What::Chaos
            | What::Stop(_) => Duration::ZERO,
        };
        (until > self.time).then_some(until)
    }

    fn happen(&mut self, what: What) {
        if let Some(until) = self.frozen_until(&what) {
            return self.at(until, what);
        }
        self.trace(|| format!("{what:?}"));
        match what {
            What::Up(link) => self.arrive_up(link),
            What::Down(link) => self.arrive_down(link),
            What::ServerTick => {
                self.server_tick = None;
                self.serve(server::Event::Tick);
            }
            What::SidecarTick(index, incarnation) => {
                if self.is_current(index, incarnation) {
                    let due = self.sidecars[index].client.deadline();
                    let now = self.sidecars[index].clock.show(self.time);
                    if due.is_some_and(|due| due <= now) {
                        self.drive(index, client::Event::Tick);
                    }
                }
            }
            What::Connect(index, incarnation) => self.connect(index, incarnation),
            What::Lost(link) => self.notice_loss(link),
            What::Gone(link) => self.notice_gone(link),
            What::Settled(index, incarnation, version) => self.settled(index, incarnation, version),
            What::Halted(index, incarnation) => self.halted(index, incarnation),
            What::Restart(index, incarnation) => self.restart(index, incarnation),
            What::Call => self.call(),
            What::CallEnds(index, incarnation, call) => self.end_call(index, incarnation, call),
            What::Lead => self.lead(),
            What::Chaos => self.chaos(),
            What::Stop(index) => self.stop(index),
        }
    }

    pub(crate) fn is_current(&self, index: usize, incarnation: u64) -> bool {
        let sidecar = &self.sidecars[index];
        sidecar.alive && sidecar.incarnation == incarnation
    }

    // === the sidecars' side ===

    fn connect(&mut self, index: usize, incarnation: u64) {
        if !self.is_current(index, incarnation) || !self.sidecars[index].connects() {
            return;
        }
        let new = !self.sidecars[index].had_table;
        let kept_out = new && self.time < self.plan.no_newcomers_before;
        if kept_out || !self.server.leads {
            let pause = Sidecar::pause(&mut self.random);
            return self.later(pause, What::Connect(index, incarnation));
        }
        let stalled = self
            .plan
            .partitioned
            .get(&index)
            .copied()
            .unwrap_or_default();
        let link = self.links.len();
        self.links.push(Link::new(index, self.server.term, stalled));
        self.sidecars[index].link = Some(link);
        self.drive(index, client::Event::Connected);
        let lease = match self.sidecars[index].model {
            Model::Trilby => Some(SETTINGS.lease),
            Model::Upstream => None,
        };
        self.send_down(link, client::Event::Accepted { lease });
    }

    /// Lets a sidecar take in an event, and does what it wants.
    pub(crate) fn drive(&mut self, index: usize, event: client::Event) {
        let time = self.time;
        self.trace(|| format!("  {index} takes {event:?}"));
        let wishes = self.sidecars[index].step(event, time);
        self.trace(|| format!("  {index} wants {wishes:?}"));
        let mut hang = false;
        for wish in wishes {
            match wish {
                Wish::Say(message) => self.send_up(index, message),
                Wish::Hang => hang = true,
            }
        }
        let sidecar = &self.sidecars[index];
        let incarnation = sidecar.incarnation;
        if let Some((version, over)) = sidecar.settling {
            self.at(over.max(time), What::Settled(index, incarnation, version));
        }
        if let Some(over) = self.sidecars[index].halting_until {
            self.at(over.max(time), What::Halted(index, incarnation));
        }
        self.wake_sidecar(index);
        if hang {
            self.hang_up(index);
        }
    }

    fn wake_sidecar(&mut self, index: usize) {
        let sidecar = &self.sidecars[index];
        if let Some(due) = sidecar.client.deadline() {
            let at = sidecar.clock.when(due).max(self.time);
            let tick = What::SidecarTick(index, sidecar.incarnation);
            self.at(at, tick);
        }
    }

    fn hang_up(&mut self, index: usize) {
        if let Some(link) = self.sidecars[index].link.take() {
            let delay = self.delay();
            let at = self.links[link].up_at(self.time, delay);
            self.at(at, What::Gone(link));
            self.links[link].cut = true;
            self.drive(index, client::Event::Lost);
        }
    }

    fn notice_loss(&mut self, link: usize) {
        let index = self.links[link].sidecar;
        if self.sidecars[index].link == Some(link) {
            self.sidecars[index].link = None;
            self.links[link].cut = true;
            self.drive(index, client::Event::Lost);
        }
    }

    fn settled(&mut self, index: usize, incarnation: u64, version: u64) {
        let time = self.time;
        let due = |(of, over): (u64, Duration)| of == version && over <= time;
        let sidecar = &mut self.sidecars[index];
        if sidecar.incarnation == incarnation && sidecar.settling.is_some_and(due) {
            sidecar.settling = None;
            self.drive(index, client::Event::Settled { version });
        }
    }

    fn halted(&mut self, index: usize, incarnation: u64) {
        let over = self.sidecars[index].halting_until;
        if !self.is_current(index, incarnation) || over.is_none_or(|over| over > self.time) {
            return;
        }
        self.sidecars[index].halting_until = None;
        if self.plan.leaving.remove(&index) {
            return self.leave(index);
        }
        let pause = Sidecar::pause(&mut self.random);
        self.later(pause, What::Connect(index, incarnation));
    }

    /// Everything is halted, the stream is open: say so, and go.
    fn leave(&mut self, index: usize) {
        if let Some(link) = self.sidecars[index].link {
            if self.sidecars[index].model == Model::Trilby {
                self.send_up(index, Upward::Goodbye);
            }
            let delay = self.delay();
            let at = self.links[link].up_at(self.time, delay);
            self.at(at, What::Gone(link));
        }
        self.end_process(index);
    }

    /// The process is gone, and with it what it served.
    pub(crate) fn end_process(&mut self, index: usize) {
        let sidecar = &mut self.sidecars[index];
        sidecar.alive = false;
        sidecar.calls.clear();
        sidecar.link = None;
        let incarnation = sidecar.incarnation;
        let after = self.random.millis(100, 8000);
        self.later(after, What::Restart(index, incarnation));
    }

    fn restart(&mut self, index: usize, incarnation: u64) {
        if self.sidecars[index].incarnation == incarnation && !self.sidecars[index].alive {
            self.sidecars[index].begin_anew();
            self.host_something(index);
            let incarnation = self.sidecars[index].incarnation;
            self.connect(index, incarnation);
        }
    }

    pub(crate) fn host_something(&mut self, index: usize) {
        let few = self.random.below(self.types.len()) + 1;
        let none = self.random.chance(10);
        let types = self.types.clone();
        let mut chosen: BTreeSet<Arc<str>> = BTreeSet::new();
        for _ in 0..if none { 0 } else { few } {
            chosen.insert(Arc::clone(&types[self.random.below(types.len())]));
        }
        let chosen: Vec<Arc<str>> = chosen.into_iter().collect();
        self.sidecars[index].hosting.clone_from(&chosen);
        self.drive(index, client::Event::Hosting(chosen));
    }

    // === the network ===

    fn send_up(&mut self, index: usize, message: Upward) {
        let Some(link) = self.sidecars[index].link else {
            return;
        };
        let delay = self.delay();
        self.links[link].up.push_back(message);
        let at = self.links[link].up_at(self.time, delay);
        self.at(at, What::Up(link));
    }

    fn send_down(&mut self, link: usize, event: client::Event) {
        let delay = self.delay();
        self.links[link].down.push_back(event);
        let at = self.links[link].down_at(self.time, delay);
        self.at(at, What::Down(link));
    }

    fn arrive_up(&mut self, link: usize) {
        let Some(message) = self.links[link].up.pop_front() else {
            return;
        };
        let of_this_server = self.links[link].term == self.server.term && self.server.leads;
        let gone = self
            .server
            .streams
            .get(&link)
            .is_some_and(|it| it.0 == GONE);
        if self.links[link].cut || gone || !of_this_server {
            return;
        }
        let from = &self.sidecars[self.links[link].sidecar];
        let event = self.server.event(link, from, message);
        self.serve(event);
    }

    fn arrive_down(&mut self, link: usize) {
        let Some(event) = self.links[link].down.pop_front() else {
            return;
        };
        let index = self.links[link].sidecar;
        let sidecar = &self.sidecars[index];
        // One that halts before it leaves reads nothing more.
        let reads = sidecar.link == Some(link) && sidecar.halting_until.is_none();
        if reads && !self.links[link].cut {
            self.drive(index, event);
        }
    }

    // === the server's side ===

    pub(crate) fn serve(&mut self, event: server::Event<()>) {
        if !self.server.leads {
            return;
        }
        let rests = matches!(
            event,
            server::Event::Tick
                | server::Event::Beat { .. }
                | server::Event::Acked { .. }
                | server::Event::Heartbeat { .. }
        );
        if !rests {
            self.rounds_before_rest = self.outcome.rounds;
        }
        let before = self.server.namespace.version();
        self.trace(|| format!("  server takes {event:?}"));
        for action in self.server.step(event, self.time) {
            self.trace(|| format!("  server wants {action:?}"));
            match action {
                server::Action::Send { to, order } => self.send(&to, &order),
                server::Action::Close { stream, .. } => self.close(stream),
            }
        }
        self.outcome.rounds += u64::from(self.server.namespace.version() != before);
        if let Some(due) = self.server.namespace.deadline() {
            let at = self.server.clock.when(due).max(self.time);
            if self.server_tick.is_none_or(|planned| at < planned) {
                self.server_tick = Some(at);
                self.at(at, What::ServerTick);
            }
        }
    }

    fn send(&mut self, to: &[StreamId], order: &Order<()>) {
        for stream in to {
            let link = usize::try_from(stream.0).expect("made from one");
            let event = event_of(order);
            if let Some(version) = version_of(order) {
                let last = self.versions.insert(link, version);
                assert!(
                    last.is_none_or(|last| last <= version),
                    "a stream's versions never go back"
                );
            }
            self.send_down(link, event);
        }
    }

    fn close(&mut self, stream: StreamId) {
        let link = usize::try_from(stream.0).expect("made from one");
        self.server.streams.insert(link, StreamId(GONE));
        let delay = self.delay();
        let at = self.links[link].down_at(self.time, delay);
        self.at(at, What::Lost(link));
    }

    fn notice_gone(&mut self, link: usize) {
        if self.links[link].term != self.server.term {
            return;
        }
        if let Some(stream) = self.server.streams.insert(link, StreamId(GONE)) {
            self.serve(server::Event::Closed { stream });
        }
    }
}

/// What has begun by then runs out: the longest trouble, an election, silence, two rounds.
const PEACE: Duration = Duration::from_secs(40);

/// A stream that the server has ended, or knows to be gone.
const GONE: u64 = u64::MAX;
