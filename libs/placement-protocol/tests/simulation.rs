//! Both halves together: several sidecars and one server over streams that deliver late, break and
//! come back in any order.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use trilby_placement_protocol::{
    Phase,
    client::{self, Client, HostEntry, HostRef, Tables},
    server::{self, Ack, Member, Namespace, Order, Settings, StreamId},
};

const SIDECARS: usize = 4;
const TYPES: [&str; 3] = ["A", "B", "C"];
const IDS: [&str; 4] = ["1", "2", "actor-2", "user"];
const REPLICATION: u32 = 3;

/// One thing that may happen next; a choice that is not possible then is skipped.
#[derive(Debug, Clone, Copy)]
enum Step {
    Connect(usize),
    Break(usize),
    /// Hosts the types of this bit set.
    Host(usize, u8),
    ToServer(usize),
    ToSidecar(usize),
    Settle(usize),
    /// The server's timer fires.
    Expire,
}

enum Upward {
    Report(Vec<Arc<str>>),
    Ack(Ack),
}

struct Link {
    stream: StreamId,
    joined: bool,
    up: VecDeque<Upward>,
    down: VecDeque<client::Event>,
}

struct Sidecar {
    client: Client,
    link: Option<Link>,
    hosting: BTreeSet<Arc<str>>,
    settling: Option<u64>,
    last_version: u64,
}

struct World {
    namespace: Namespace<()>,
    sidecars: Vec<Sidecar>,
    now: Instant,
    streams: u64,
    served: u64,
}

fn name(sidecar: usize) -> String {
    format!("10.0.0.{sidecar}:50002")
}

fn tables(order: &server::Table<()>) -> Tables {
    let entries = order.by_entity().into_iter().map(|(entity, hosts)| {
        let hosts = hosts.into_iter().map(|host| HostEntry {
            key: Arc::clone(&host.name),
            host: HostRef {
                address: Arc::clone(&host.name),
                app_id: "app".into(),
                port: 0,
            },
        });
        (Arc::clone(entity), hosts.collect())
    });
    Tables {
        replication: REPLICATION,
        entries: entries.collect(),
    }
}

impl World {
    fn new(coalesce: Duration) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only an origin: all time passes by hand"
        )]
        let now = Instant::now();
        let sidecar = || Sidecar {
            client: Client::new(Duration::from_secs(3600)),
            link: None,
            hosting: BTreeSet::new(),
            settling: None,
            last_version: 0,
        };
        let settings = Settings {
            timeout: Duration::from_secs(8),
            coalesce,
        };
        Self {
            namespace: Namespace::new(settings),
            sidecars: std::iter::repeat_with(sidecar).take(SIDECARS).collect(),
            now,
            streams: 0,
            served: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect(index) => self.connect(index),
            Step::Break(index) => self.disconnect(index),
            Step::Host(index, bits) => self.host(index, bits),
            Step::ToServer(index) => drop(self.deliver_up(index)),
            Step::ToSidecar(index) => drop(self.deliver_down(index)),
            Step::Settle(index) => drop(self.settle(index)),
            Step::Expire => drop(self.expire()),
        }
        self.check_single_owner();
    }

    fn connect(&mut self, index: usize) {
        if self.sidecars[index].link.is_some() {
            return;
        }
        self.streams += 1;
        let sidecar = &mut self.sidecars[index];
        let (up, down) = Default::default();
        sidecar.link = Some(Link {
            stream: StreamId(self.streams),
            joined: false,
            up,
            down,
        });
        sidecar.last_version = 0;
        self.client(index, client::Event::Connected);
    }

    fn disconnect(&mut self, index: usize) {
        let Some(link) = self.sidecars[index].link.take() else {
            return;
        };
        self.server(server::Event::Closed {
            stream: link.stream,
        });
        self.client(index, client::Event::Lost);
    }

    fn host(&mut self, index: usize, bits: u8) {
        let hosting = TYPES
            .iter()
            .enumerate()
            .filter(|(bit, _)| bits & (1 << bit) != 0);
        let hosting: BTreeSet<Arc<str>> = hosting.map(|(_, entity)| (*entity).into()).collect();
        self.sidecars[index].hosting.clone_from(&hosting);
        self.client(index, client::Event::Hosting(hosting.into_iter().collect()));
    }

    fn deliver_up(&mut self, index: usize) -> bool {
        let Some(link) = &mut self.sidecars[index].link else {
            return false;
        };
        let stream = link.stream;
        let Some(message) = link.up.pop_front() else {
            return false;
        };
        let event = match message {
            Upward::Ack(ack) => server::Event::Acked { stream, ack },
            Upward::Report(entities) => {
                let member = Member::new(&name(index), entities, ());
                if std::mem::replace(&mut link.joined, true) {
                    server::Event::Reported { stream, member }
                } else {
                    server::Event::Joined { stream, member }
                }
            }
        };
        self.server(event);
        true
    }

    fn deliver_down(&mut self, index: usize) -> bool {
        let Some(link) = &mut self.sidecars[index].link else {
            return false;
        };
        let Some(order) = link.down.pop_front() else {
            return false;
        };
        self.client(index, order);
        true
    }

    fn settle(&mut self, index: usize) -> bool {
        let Some(version) = self.sidecars[index].settling.take() else {
            return false;
        };
        self.client(index, client::Event::Settled { version });
        true
    }

    fn expire(&mut self) -> bool {
        let Some(deadline) = self.namespace.deadline() else {
            return false;
        };
        self.now = deadline;
        self.server(server::Event::Tick);
        true
    }

    fn server(&mut self, event: server::Event<()>) {
        let before = self.namespace.version();
        for action in self.namespace.step(event, self.now) {
            match action {
                server::Action::Send { to, order } => self.send(&to, &order),
                server::Action::Close { stream, .. } => {
                    let index = self
                        .sidecar_of(stream)
                        .expect("only open streams are closed");
                    self.sidecars[index].link = None;
                    self.client(index, client::Event::Lost);
                }
            }
        }
        assert!(self.namespace.version() >= before, "versions never go back");
    }

    fn send(&mut self, to: &[StreamId], order: &Order<()>) {
        for stream in to {
            let index = self
                .sidecar_of(*stream)
                .expect("only open streams are sent to");
            let sidecar = &mut self.sidecars[index];
            assert!(
                order.version() >= sidecar.last_version,
                "versions of a stream never go back"
            );
            sidecar.last_version = order.version();
            let version = order.version();
            let event = match order {
                Order::Lock { .. } => client::Event::Lock { version },
                Order::Update { table } => client::Event::Update {
                    version,
                    tables: tables(table),
                },
                Order::Unlock { .. } => client::Event::Unlock { version },
            };
            sidecar
                .link
                .as_mut()
                .expect("found by its link")
                .down
                .push_back(event);
        }
    }

    fn sidecar_of(&self, stream: StreamId) -> Option<usize> {
        let holds = |sidecar: &Sidecar| {
            sidecar
                .link
                .as_ref()
                .is_some_and(|link| link.stream == stream)
        };
        self.sidecars.iter().position(holds)
    }

    fn client(&mut self, index: usize, event: client::Event) {
        let sidecar = &mut self.sidecars[index];
        for action in sidecar.client.step(event, self.now) {
            let upward = match action {
                client::Action::Report { entities } => Upward::Report(entities),
                client::Action::Acknowledge { phase, version } => Upward::Ack(Ack {
                    phase,
                    version: Some(version),
                }),
                client::Action::Settle { version, .. } => {
                    sidecar.settling = Some(version);
                    continue;
                }
                client::Action::HaltAll => {
                    sidecar.settling = None;
                    continue;
                }
                client::Action::Publish(_) | client::Action::Ready => continue,
                unexpected @ (client::Action::Close(_) | client::Action::Ignored { .. }) => {
                    panic!("the server keeps the protocol: {unexpected:?}")
                }
            };
            sidecar
                .link
                .as_mut()
                .expect("it speaks only while connected")
                .up
                .push_back(upward);
        }
    }

    /// At most one sidecar lets calls of an actor through to its own app.
    fn check_single_owner(&mut self) {
        for (entity, id) in TYPES.iter().flat_map(|entity| IDS.map(|id| (*entity, id))) {
            let owners: Vec<usize> = (0..SIDECARS)
                .filter(|index| self.serves(*index, entity, id))
                .collect();
            assert!(owners.len() <= 1, "{entity}/{id} is served by {owners:?}");
            self.served += owners.len() as u64;
        }
    }

    fn serves(&self, index: usize, entity: &str, id: &str) -> bool {
        let routing = self.sidecars[index].client.routing();
        let Ok(Some(route)) = routing.hosts_of(entity) else {
            return false;
        };
        route
            .owner(id)
            .is_some_and(|host| *host.address == *name(index))
    }

    /// Everybody connects, everything under way arrives.
    fn quiesce(&mut self) {
        (0..SIDECARS).for_each(|index| self.step(Step::Connect(index)));
        for _ in 0..10_000 {
            let moved = (0..SIDECARS).any(|index| {
                self.deliver_up(index) || self.deliver_down(index) || self.settle(index)
            });
            self.check_single_owner();
            if !moved && (self.namespace.phase().is_some() || !self.expire()) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn check_at_rest(&self) {
        assert_eq!(self.namespace.phase(), None, "no round is stuck");
        let mut expected: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (index, sidecar) in self.sidecars.iter().enumerate() {
            for entity in &sidecar.hosting {
                expected.entry(entity).or_default().insert(name(index));
            }
        }
        for sidecar in &self.sidecars {
            let routing = sidecar.client.routing();
            assert_eq!(routing.version(), Some(self.namespace.version()));
            assert_eq!(routing.moving().count(), 0, "no type stays held");
            let known: BTreeMap<&str, BTreeSet<String>> = routing
                .types()
                .map(|(entity, route)| {
                    (
                        &**entity,
                        route
                            .hosts()
                            .iter()
                            .map(|host| host.address.to_string())
                            .collect(),
                    )
                })
                .collect();
            assert_eq!(known, expected);
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (0..SIDECARS, 0u8..8).prop_flat_map(|(index, bits)| {
        prop_oneof![
            3 => Just(Step::Connect(index)),
            1 => Just(Step::Break(index)),
            2 => Just(Step::Host(index, bits)),
            8 => Just(Step::ToServer(index)),
            8 => Just(Step::ToSidecar(index)),
            6 => Just(Step::Settle(index)),
            1 => Just(Step::Expire),
        ]
    });
    proptest::collection::vec(one, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sidecars_agree_whatever_happened_before(steps in steps(), coalesce in prop_oneof![Just(0), Just(100)]) {
        let mut world = World::new(Duration::from_millis(coalesce));
        steps.into_iter().for_each(|step| world.step(step));
        world.quiesce();
        world.check_at_rest();
    }
}

#[test]
fn actors_are_served_in_the_end() {
    let mut world = World::new(Duration::ZERO);
    (0..SIDECARS).for_each(|index| world.host(index, 0b111));
    world.quiesce();
    world.served = 0;
    world.check_single_owner();
    assert_eq!(
        world.served,
        (TYPES.len() * IDS.len()) as u64,
        "each by exactly one"
    );
    assert_eq!(world.namespace.phase(), None::<Phase>);
}
