//! What befalls the world while it is in trouble.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use trilby_placement_protocol::client;

use crate::{
    server::SETTINGS,
    sidecar::Model,
    world::{What, World},
};

/// How one leader follows another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Succession {
    /// Elected: no sooner than the last one's sidecars have lost their leases.
    Elected,
    /// One server that starts again, at once or a little later.
    Restarted,
}

/// What a run is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) sidecars: usize,
    pub(crate) types: usize,
    /// Every so many sidecars one is upstream's; 0: none.
    pub(crate) upstream_every: usize,
    pub(crate) succession: Succession,
    pub(crate) trouble: Duration,
    /// All that happens is that every sidecar is replaced once.
    pub(crate) rollout: bool,
    /// On average half of it, in milliseconds.
    pub(crate) between_troubles: u64,
    pub(crate) between_calls: u64,
    /// Nothing passes to and from these until then.
    pub(crate) partitioned: BTreeMap<usize, Duration>,
    /// These stop in an orderly way.
    pub(crate) leaving: BTreeSet<usize>,
    /// A server that starts again waits for those who come back, once one of them says so. Were all who
    /// come first new, it would not know.
    pub(crate) no_newcomers_before: Duration,
    /// Print everything that happens.
    pub(crate) trace: bool,
}

impl Plan {
    pub(crate) fn new(sidecars: usize, succession: Succession) -> Self {
        Self {
            sidecars,
            types: 3,
            upstream_every: 0,
            succession,
            trouble: Duration::from_secs(40),
            rollout: false,
            between_troubles: 900,
            between_calls: 30,
            partitioned: BTreeMap::new(),
            leaving: BTreeSet::new(),
            no_newcomers_before: Duration::ZERO,
            trace: std::env::var_os("SIMULATION_TRACE").is_some(),
        }
    }

    pub(crate) fn model(&self, index: usize) -> Model {
        let upstream = self.upstream_every > 0 && index.is_multiple_of(self.upstream_every);
        match upstream {
            true => Model::Upstream,
            false => Model::Trilby,
        }
    }
}

impl World {
    pub(crate) fn chaos(&mut self) {
        if self.time >= self.plan.trouble {
            return;
        }
        let index = self.random.below(self.sidecars.len());
        let kind = self.random.below(100);
        self.trace(|| format!("trouble {kind} for {index}"));
        match kind {
            0..20 => self.change_hosting(index),
            20..32 => self.crash(index),
            32..47 => self.stop(index),
            47..62 => self.freeze(index),
            62..77 => self.partition(index),
            77..87 => self.reset(index),
            87..94 => self.freeze_server(),
            _ => self.lose_leader(),
        }
        let next = self.random.millis(1, self.plan.between_troubles);
        self.later(next, What::Chaos);
    }

    fn change_hosting(&mut self, index: usize) {
        if self.sidecars[index].alive && !self.sidecars[index].frozen(self.time) {
            self.host_something(index);
        }
    }

    /// The process, or its whole node, is gone at once.
    fn crash(&mut self, index: usize) {
        if !self.sidecars[index].alive {
            return;
        }
        if let Some(link) = self.sidecars[index].link {
            let noticed = match self.random.chance(30) {
                true => self.random.millis(3000, 5000),
                false => self.random.millis(0, 20),
            };
            self.links[link].cut = true;
            self.later(noticed, What::Gone(link));
        }
        self.plan.leaving.remove(&index);
        self.end_process(index);
    }

    /// Replaces every sidecar once, evenly while there is trouble.
    pub(crate) fn roll_out(&mut self) {
        let count = u32::try_from(self.sidecars.len()).expect("some thousands");
        for (place, index) in (1..).zip(0..self.sidecars.len()) {
            self.at(self.plan.trouble * place / count, What::Stop(index));
        }
    }

    pub(crate) fn stop(&mut self, index: usize) {
        let busy = self.sidecars[index].frozen(self.time) || self.plan.leaving.contains(&index);
        let connected = self.sidecars[index].link.is_some();
        if !busy && connected && self.sidecars[index].alive {
            self.plan.leaving.insert(index);
            self.drive(index, client::Event::Lost);
        }
    }

    fn freeze(&mut self, index: usize) {
        let until = self.time + self.random.millis(50, 9000);
        let sidecar = &mut self.sidecars[index];
        // What it was to do waits for the end of the freeze that it is in: a second one never ends that sooner.
        sidecar.frozen_until = sidecar.frozen_until.max(until);
    }

    fn freeze_server(&mut self) {
        let until = self.time + self.random.millis(20, 2500);
        self.server.frozen_until = self.server.frozen_until.max(until);
    }

    /// Nothing passes for a while; a long one ends the stream, for either side at its own time.
    fn partition(&mut self, index: usize) {
        let lasts = self.random.millis(50, 9000);
        let until = self.time + lasts;
        self.plan.partitioned.insert(index, until);
        let Some(link) = self.sidecars[index].link else {
            return;
        };
        self.links[link].stalled_until = until;
        let keep_alive = self.random.millis(3000, 5000);
        if lasts > keep_alive {
            self.later(keep_alive, What::Gone(link));
            let noticed = self.delay();
            self.at(until + noticed, What::Lost(link));
        }
    }

    /// Something on the way forgets the stream. Each side learns of it when it sends.
    fn reset(&mut self, index: usize) {
        if let Some(link) = self.sidecars[index].link {
            self.links[link].cut = true;
            let (here, there) = (self.random.millis(0, 1100), self.random.millis(0, 5000));
            self.later(here, What::Lost(link));
            self.later(there, What::Gone(link));
        }
    }

    /// The leader is gone, killed or frozen. Its streams end now or later.
    fn lose_leader(&mut self) {
        if !self.server.leads {
            return;
        }
        self.server.leads = false;
        let frozen = self.random.chance(40);
        for link in 0..self.links.len() {
            let current = self.sidecars[self.links[link].sidecar].link == Some(link);
            if current && self.links[link].term == self.server.term {
                let noticed = match frozen {
                    true => self.random.millis(0, 10_000),
                    false => self.random.millis(0, 30),
                };
                let at = (self.time + noticed).max(self.links[link].stalled_until);
                self.at(at, What::Lost(link));
            }
        }
        let after = match self.plan.succession {
            Succession::Elected => self.random.millis(3700, 6000),
            Succession::Restarted => self.random.millis(10, 2000),
        };
        self.later(after, What::Lead);
    }

    pub(crate) fn lead(&mut self) {
        let settle = match self.plan.succession {
            Succession::Elected => Duration::ZERO,
            Succession::Restarted => SETTINGS.grace(),
        };
        let clock = self.clock();
        self.server.lead(clock, settle, self.time);
        self.plan.no_newcomers_before = self.time + settle * 11 / 10;
        self.outcome.leaders += 1;
    }
}
