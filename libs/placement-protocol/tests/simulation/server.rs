//! The server's side: one namespace at a time, streams, and leaders that follow one another.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use trilby_placement_protocol::server::{
    Ack, Action, Event, Member, Namespace, Settings, StreamId,
};

use crate::{
    clock::Clock,
    sidecar::{Sidecar, Upward},
};

pub(crate) const SETTINGS: Settings = Settings {
    timeout: Duration::from_secs(8),
    straggler: Duration::from_secs(1),
    coalesce: Duration::ZERO,
    lease: Duration::from_secs(3),
};

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) clock: Clock,
    pub(crate) namespace: Namespace<()>,
    /// Which links have said something, as streams.
    pub(crate) streams: BTreeMap<usize, StreamId>,
    pub(crate) frozen_until: Duration,
    settled_at: Instant,
    /// Not between two leaders.
    pub(crate) leads: bool,
    /// Grows with each leader.
    pub(crate) term: u64,
}

impl Server {
    pub(crate) fn new(clock: Clock) -> Self {
        let settled_at = clock.show(Duration::ZERO);
        Self {
            clock,
            settled_at,
            namespace: Namespace::new(SETTINGS, settled_at),
            streams: BTreeMap::new(),
            frozen_until: Duration::ZERO,
            leads: true,
            term: 0,
        }
    }

    /// The next leader, who knows nothing of the last.
    pub(crate) fn lead(&mut self, clock: Clock, settle: Duration, time: Duration) {
        self.clock = clock;
        self.settled_at = clock.show(time) + settle;
        self.namespace = Namespace::new(SETTINGS, self.settled_at);
        self.streams.clear();
        self.leads = true;
        self.frozen_until = Duration::ZERO;
        self.term += 1;
    }

    pub(crate) fn step(&mut self, event: Event<()>, time: Duration) -> Vec<Action<()>> {
        let now = self.clock.show(time);
        let before = self.namespace.version();
        let actions = self.namespace.step(event, now);
        assert!(self.namespace.version() >= before, "versions never go back");
        if self.namespace.is_empty() {
            // The service forgets it.
            self.namespace = Namespace::new(SETTINGS, self.settled_at);
        }
        actions
    }

    /// What a message of a sidecar means.
    pub(crate) fn event(&mut self, link: usize, from: &Sidecar, message: Upward) -> Event<()> {
        let known = self.streams.get(&link).copied();
        let stream = StreamId(link as u64);
        self.streams.insert(link, stream);
        match message {
            Upward::Report(entities) => {
                let member = Member::new(&from.name, "app", entities, ());
                match known {
                    Some(stream) => Event::Reported { stream, member },
                    None => Event::Joined {
                        stream,
                        member,
                        dialect: from.dialect(),
                        returning: from.had_table,
                    },
                }
            }
            Upward::Ack(phase, version) => {
                let version = Some(version);
                let ack = Ack { phase, version };
                Event::Acked { stream, ack }
            }
            Upward::Beat(beat) => Event::Beat { stream, beat },
            Upward::Goodbye => Event::Left { stream },
        }
    }
}
