//! Replicas, their clocks, and the network between them, in true time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use trilby_placement_protocol::election::{
    Action, Answer, Election, Event, Question, Replica, Settings,
};

const LEASE: Duration = Duration::from_secs(3);

/// How often, in a thousand, what goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    lose: u32,
    repeat: u32,
    /// Delayed for seconds, and so overtaken.
    hold_up: u32,
    /// A replica crashes, freezes, or is cut off: so often a second.
    strike: u32,
}

/// One replica as a machine that may be off or frozen.
struct Machine {
    election: Option<Election>,
    /// Its clock's rate, in parts of a million.
    rate: u64,
    /// What it wrote down, if it keeps anything.
    kept: Option<u64>,
    frozen_until: Duration,
    /// Guards against wake-ups of an earlier life or plan.
    plan: u64,
    resigned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Wake { who: usize, plan: u64 },
    Arrival(u64),
    Thaw { who: usize },
    Restart { who: usize },
    Strike,
}

#[derive(Debug, Clone, Copy)]
enum Letter {
    Question(Question),
    Answer(Answer),
}

pub(crate) struct World {
    origin: Instant,
    now: Duration,
    random: SmallRng,
    machines: Vec<Machine>,
    queue: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    letters: BTreeMap<u64, (usize, usize, Letter)>,
    /// Letters that wait for a frozen replica.
    waiting: Vec<(usize, usize, Letter)>,
    sequence: u64,
    cut: BTreeSet<(usize, usize)>,
    faults: Faults,
    elections: usize,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            lose: 0,
            repeat: 0,
            hold_up: 0,
            strike: 0,
        }
    }

    pub(crate) fn severe() -> Self {
        Self {
            lose: 100,
            repeat: 50,
            hold_up: 50,
            strike: 300,
        }
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(replicas: usize, seed: u64) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only an origin: all time passes by hand"
        )]
        let origin = Instant::now();
        let mut random = SmallRng::seed_from_u64(seed);
        let machines = (0..replicas).map(|_| Machine {
            election: None,
            rate: random.random_range(950_000..=1_050_000),
            kept: random.random_bool(0.5).then_some(0),
            frozen_until: Duration::ZERO,
            plan: 0,
            resigned: false,
        });
        let mut world = Self {
            origin,
            now: Duration::ZERO,
            machines: machines.collect(),
            random,
            queue: BinaryHeap::new(),
            letters: BTreeMap::new(),
            waiting: Vec::new(),
            sequence: 0,
            cut: BTreeSet::new(),
            faults: Faults::none(),
            elections: 0,
        };
        (0..replicas).for_each(|who| world.restart(who));
        world
    }

    pub(crate) fn elections(&self) -> usize {
        self.elections
    }

    /// Lets time pass with these faults.
    pub(crate) fn run(&mut self, time: Duration, faults: Faults) {
        self.faults = faults;
        if faults.strike > 0 {
            self.plan(Duration::from_millis(500), Happening::Strike);
        }
        let end = self.now + time;
        while self.next(end) {}
        self.now = end;
    }

    /// Everybody runs and reaches everybody.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::none();
        self.cut.clear();
        for who in 0..self.machines.len() {
            self.machines[who].frozen_until = self.now;
            self.thaw(who);
            self.restart(who);
        }
    }

    /// Lets time pass until somebody leads; how long that took.
    pub(crate) fn leader_within(&mut self, limit: Duration) -> Duration {
        self.faults = Faults::none();
        let begun = self.now;
        while self.leader().is_none() {
            assert!(self.next(begun + limit), "no leader within {limit:?}");
        }
        self.now - begun
    }

    /// Lets time pass, in which the leader stays the same.
    pub(crate) fn keeps_its_leader(&mut self, time: Duration) {
        self.faults = Faults::none();
        let leader = self.leader();
        assert!(leader.is_some(), "there is a leader to keep");
        let end = self.now + time;
        while self.next(end) {
            assert_eq!(self.leader(), leader, "the leader stays");
        }
        self.now = end;
    }

    pub(crate) fn kill_leader(&mut self) -> usize {
        let leader = self.leader().expect("somebody leads");
        self.kill(leader);
        leader
    }

    pub(crate) fn kill_follower(&mut self) -> usize {
        let leader = self.leader();
        let followers = (0..self.machines.len()).filter(|who| Some(*who) != leader);
        let followers: Vec<usize> = followers.collect();
        let who = *followers.choose(&mut self.random).expect("there are some");
        self.kill(who);
        who
    }

    /// Tells the leader to stop; it votes on.
    pub(crate) fn resign_leader(&mut self) -> usize {
        let leader = self.leader().expect("somebody leads");
        self.machines[leader].resigned = true;
        self.step(leader, Event::Resign);
        leader
    }

    pub(crate) fn kill(&mut self, who: usize) {
        let machine = &mut self.machines[who];
        machine.election = None;
        machine.resigned = false;
        machine.plan += 1;
        self.waiting.retain(|(_, to, _)| *to != who);
    }

    /// Starts it unless it runs.
    pub(crate) fn restart(&mut self, who: usize) {
        if self.machines[who].election.is_some() {
            return;
        }
        let settings = Settings {
            replicas: self.machines.len(),
            me: Replica(who),
            lease: LEASE,
        };
        let (seed, now) = (self.random.random(), self.local(who));
        let machine = &mut self.machines[who];
        let term = machine.kept.unwrap_or(0);
        machine.election = Some(Election::new(settings, term, (seed, now)));
        machine.frozen_until = self.now;
        self.replan(who);
    }

    /// Nobody reaches it, and it reaches nobody.
    pub(crate) fn cut_off(&mut self, who: usize) {
        for other in 0..self.machines.len() {
            self.cut.extend([(who, other), (other, who)]);
        }
    }

    /// The next thing that happens before `end`; whether there was one.
    fn next(&mut self, end: Duration) -> bool {
        let Some(Reverse((when, _, _))) = self.queue.peek() else {
            return false;
        };
        if *when > end {
            return false;
        }
        let Some(Reverse((when, _, happening))) = self.queue.pop() else {
            return false;
        };
        self.now = when;
        match happening {
            Happening::Wake { who, plan } if self.machines[who].plan == plan => self.wake(who),
            Happening::Wake { .. } => {}
            Happening::Arrival(letter) => self.deliver(letter),
            Happening::Thaw { who } => self.thaw(who),
            Happening::Restart { who } => self.restart(who),
            Happening::Strike => self.strike(),
        }
        true
    }

    fn wake(&mut self, who: usize) {
        if self.is_frozen(who) {
            return;
        }
        self.step(who, Event::Tick);
    }

    fn deliver(&mut self, letter: u64) {
        let Some((from, to, letter)) = self.letters.remove(&letter) else {
            return;
        };
        if self.machines[to].election.is_none() || self.cut.contains(&(from, to)) {
            return;
        }
        if self.is_frozen(to) {
            self.waiting.push((from, to, letter));
            return;
        }
        let from = Replica(from);
        self.step(
            to,
            match letter {
                Letter::Question(question) => Event::Asked { from, question },
                Letter::Answer(answer) => Event::Answered { from, answer },
            },
        );
    }

    fn step(&mut self, who: usize, event: Event) {
        let now = self.local(who);
        let Some(election) = &mut self.machines[who].election else {
            return;
        };
        for action in election.step(event, now) {
            match action {
                Action::Keep { term } => {
                    if let Some(kept) = &mut self.machines[who].kept {
                        *kept = term;
                    }
                }
                Action::Ask { to, question } => self.send(who, to.0, Letter::Question(question)),
                Action::Answer { to, answer } => self.send(who, to.0, Letter::Answer(answer)),
                Action::Lead { .. } => self.elections += 1,
                Action::Extend { .. } | Action::Cease => {}
            }
        }
        self.leader();
        self.replan(who);
    }

    fn send(&mut self, from: usize, to: usize, letter: Letter) {
        let Faults {
            lose,
            repeat,
            hold_up,
            ..
        } = self.faults;
        let copies = if self.chance(lose) {
            0
        } else if self.chance(repeat) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let longest = if self.chance(hold_up) { 8000 } else { 30 };
            let delay = Duration::from_millis(self.random.random_range(0..=longest));
            self.sequence += 1;
            self.letters.insert(self.sequence, (from, to, letter));
            let arrival = Happening::Arrival(self.sequence);
            self.plan(delay, arrival);
        }
    }

    /// Something bad happens to somebody, and will end.
    fn strike(&mut self) {
        if self.faults.strike == 0 {
            return;
        }
        self.plan(Duration::from_millis(500), Happening::Strike);
        if !self.chance(self.faults.strike) {
            return;
        }
        let who = match self.leader() {
            // The leader is worth it.
            Some(leader) if self.random.random_bool(0.6) => leader,
            _ => self.random.random_range(0..self.machines.len()),
        };
        let lasts = Duration::from_millis(self.random.random_range(0..9000));
        match self.random.random_range(0..4) {
            0 => {
                self.kill(who);
                self.plan(lasts, Happening::Restart { who });
            }
            1 => {
                self.machines[who].frozen_until = self.now + lasts;
                self.plan(lasts, Happening::Thaw { who });
            }
            2 => {
                let other = self.random.random_range(0..self.machines.len());
                self.cut.insert((who, other));
            }
            _ => match self.random.random_bool(0.5) {
                true => self.cut_off(who),
                false => self.cut.clear(),
            },
        }
    }

    /// What waited for it arrives in any order, before it looks at the clock, or after.
    fn thaw(&mut self, who: usize) {
        if self.is_frozen(who) || self.machines[who].election.is_none() {
            return;
        }
        if self.random.random_bool(0.5) {
            self.step(who, Event::Tick);
        }
        let mut letters: Vec<_> = self
            .waiting
            .extract_if(.., |(_, to, _)| *to == who)
            .collect();
        while !letters.is_empty() {
            let chosen = self.random.random_range(0..letters.len());
            let (from, to, letter) = letters.swap_remove(chosen);
            self.sequence += 1;
            self.letters.insert(self.sequence, (from, to, letter));
            self.deliver(self.sequence);
        }
        self.replan(who);
    }

    /// Who leads at this instant. At most one does.
    fn leader(&self) -> Option<usize> {
        let leads = |who: &usize| {
            let election = self.machines[*who].election.as_ref();
            let until = election.and_then(Election::leads_until);
            // Frozen or not: its clock goes on.
            until.is_some_and(|until| self.local(*who) < until)
        };
        let leaders: Vec<usize> = (0..self.machines.len()).filter(leads).collect();
        assert!(leaders.len() <= 1, "at {:?}: {leaders:?} lead", self.now);
        leaders.first().copied()
    }

    fn is_frozen(&self, who: usize) -> bool {
        self.machines[who].frozen_until > self.now
    }

    /// The time on a replica's own clock.
    fn local(&self, who: usize) -> Instant {
        let micros = self.now.as_micros() * u128::from(self.machines[who].rate) / 1_000_000;
        self.origin + Duration::from_micros(u64::try_from(micros).expect("runs are short"))
    }

    fn replan(&mut self, who: usize) {
        let now = self.local(who);
        let machine = &mut self.machines[who];
        machine.plan += 1;
        let plan = machine.plan;
        let deadline = machine.election.as_ref().and_then(Election::deadline);
        if let Some(deadline) = deadline {
            let wait = deadline.saturating_duration_since(now).as_micros();
            let wait = wait * 1_000_000 / u128::from(machine.rate) + 1;
            let wait = Duration::from_micros(u64::try_from(wait).expect("plans are short"));
            self.plan(wait, Happening::Wake { who, plan });
        }
    }

    fn plan(&mut self, wait: Duration, happening: Happening) {
        self.sequence += 1;
        let entry = (self.now + wait, self.sequence, happening);
        self.queue.push(Reverse(entry));
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.random.random_ratio(thousandths, 1000)
    }
}
