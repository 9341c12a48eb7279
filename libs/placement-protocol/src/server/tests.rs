mod extended;

use std::time::{Duration, Instant};

use super::*;

const SETTINGS: Settings = Settings {
    timeout: Duration::from_secs(8),
    straggler: Duration::from_secs(1),
    coalesce: Duration::ZERO,
    lease: Duration::from_secs(3),
};

/// From one beat of a sidecar to the next.
const BEAT: Duration = Duration::from_secs(1);

/// A namespace with a clock of its own; streams are numbers, hosts are `h<stream>`.
struct Fixture {
    namespace: Namespace<()>,
    now: Instant,
}

fn member(name: &str, entities: &[&str]) -> Member<()> {
    Member::new(name, "app", entities.iter().copied(), ())
}

fn hosts_of(hosts: &Hosts<()>) -> String {
    let names: Vec<&str> = hosts.keys().map(|name| &**name).collect();
    names.join("+")
}

fn lock(version: u64) -> String {
    format!("lock {version}")
}

fn unlock(version: u64) -> String {
    format!("unlock {version}")
}

fn update(version: u64, table: &str) -> String {
    format!("update {version} {table}")
}

fn describe(order: &Order<()>) -> String {
    match order {
        Order::Lock { version } => lock(*version),
        Order::Unlock { version } => unlock(*version),
        Order::Update { table, .. } => {
            let entries = table.types.iter();
            let entries = entries.map(|(entity, hosts)| format!("{entity}={}", hosts_of(hosts)));
            update(table.version, &entries.collect::<Vec<_>>().join(","))
        }
        Order::Delta { delta } => {
            let types = delta.types.iter().map(|(entity, change)| {
                let removed = change.removed.iter().map(|name| format!("-{name}"));
                let upserted = change.upserted.iter().map(|host| format!("+{}", host.name));
                let changes: Vec<String> = removed.chain(upserted).collect();
                format!("{entity}{}", changes.concat())
            });
            let types: Vec<String> = types.collect();
            format!("delta {}-{} {}", delta.base, delta.version, types.join(","))
        }
        Order::Release { version, types } => format!("release {version} {}", types.join("+")),
        Order::Alive { beat } => format!("alive {beat}"),
    }
}

impl Fixture {
    fn new() -> Self {
        Self::with(SETTINGS)
    }

    fn with_coalesce(coalesce: Duration) -> Self {
        Self::with(Settings {
            coalesce,
            ..SETTINGS
        })
    }

    fn with(settings: Settings) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only an origin: all time passes by hand"
        )]
        let now = Instant::now();
        Self {
            namespace: Namespace::new(settings, now),
            now,
        }
    }

    /// Each action as `<streams>: <order>` or `close <stream>: <reason>`.
    fn step(&mut self, event: Event<()>) -> Vec<String> {
        let actions = self.namespace.step(event, self.now);
        actions
            .iter()
            .map(|action| match action {
                Action::Send { to, order } => {
                    let to: Vec<String> = to.iter().map(|stream| stream.0.to_string()).collect();
                    format!("{}: {}", to.join("+"), describe(order))
                }
                Action::Close { stream, reason } => format!("close {}: {reason}", stream.0),
            })
            .collect()
    }

    fn join(&mut self, stream: u64, entities: &[&str]) -> Vec<String> {
        self.join_as(stream, &format!("h{stream}"), entities)
    }

    fn join_as(&mut self, stream: u64, name: &str, entities: &[&str]) -> Vec<String> {
        self.join_with(stream, member(name, entities), Dialect::Plain)
    }

    /// A sidecar that takes deltas and keeps beats.
    fn join_extended(&mut self, stream: u64, entities: &[&str]) -> Vec<String> {
        let member = member(&format!("h{stream}"), entities);
        self.join_with(stream, member, Dialect::Extended)
    }

    fn join_with(&mut self, stream: u64, member: Member<()>, dialect: Dialect) -> Vec<String> {
        self.step(Event::Joined {
            stream: StreamId(stream),
            member,
            dialect,
            returning: false,
        })
    }

    fn beat(&mut self, stream: u64, beat: u64) -> Vec<String> {
        let stream = StreamId(stream);
        self.step(Event::Beat { stream, beat })
    }

    /// Time passes in which `streams` keep their beats, until something is done.
    fn pass(&mut self, time: Duration, streams: &[u64]) -> Vec<String> {
        let (end, mut actions) = (self.now + time, Vec::new());
        while self.now < end && actions.is_empty() {
            self.now = (self.now + BEAT).min(end);
            streams
                .iter()
                .for_each(|stream| drop(self.beat(*stream, 0)));
            actions.extend(self.step(Event::Tick));
        }
        actions
    }

    fn report(&mut self, stream: u64, entities: &[&str]) -> Vec<String> {
        self.step(Event::Reported {
            stream: StreamId(stream),
            member: member(&format!("h{stream}"), entities),
        })
    }

    fn heartbeat(&mut self, stream: u64, entities: &[&str]) -> Vec<String> {
        self.step(Event::Heartbeat {
            stream: StreamId(stream),
            member: member(&format!("h{stream}"), entities),
        })
    }

    fn ack(&mut self, stream: u64, phase: Phase, version: u64) -> Vec<String> {
        let ack = Ack {
            phase,
            version: Some(version),
        };
        self.step(Event::Acked {
            stream: StreamId(stream),
            ack,
        })
    }

    fn close(&mut self, stream: u64) -> Vec<String> {
        self.step(Event::Closed {
            stream: StreamId(stream),
        })
    }

    /// Lets time pass until the machine wants a tick.
    fn expire(&mut self) -> Vec<String> {
        self.now = self.namespace.deadline().expect("a timer is armed");
        self.step(Event::Tick)
    }

    /// All of `streams` acknowledge the rest of the round, which then is over.
    fn complete(&mut self, streams: &[u64]) -> Vec<String> {
        let mut last = Vec::new();
        for phase in [Phase::Lock, Phase::Update, Phase::Unlock] {
            if self.namespace.phase() != Some(phase) {
                continue;
            }
            let version = self.namespace.version();
            for stream in streams {
                last = self.ack(*stream, phase, version);
            }
        }
        last
    }

    /// Streams 1 to `count`, each hosting type `A`, at rest.
    fn hosts(count: u64) -> Self {
        let mut fixture = Self::new();
        for stream in 1..=count {
            fixture.join(stream, &["A"]);
            fixture.complete(&(1..=stream).collect::<Vec<_>>());
        }
        assert_eq!(fixture.namespace.phase(), None);
        fixture
    }

    /// Streams 1 to `count` that take deltas and keep beats, each hosting type `A` and one of its own,
    /// at rest.
    fn extended(count: u64) -> Self {
        let mut fixture = Self::new();
        for stream in 1..=count {
            fixture.join_extended(stream, &["A", &format!("own{stream}")]);
            fixture.complete(&(1..=stream).collect::<Vec<_>>());
        }
        assert_eq!(fixture.namespace.phase(), None);
        fixture
    }
}

#[test]
fn first_host_gets_version_one_in_three_phases() {
    let mut it = Fixture::new();
    assert_eq!(it.join(1, &["A", "B"]), ["1: lock 1"]);
    assert_eq!(it.ack(1, Phase::Lock, 1), ["1: update 1 A=h1,B=h1"]);
    assert_eq!(it.ack(1, Phase::Update, 1), ["1: unlock 1"]);
    assert!(it.ack(1, Phase::Unlock, 1).is_empty());
    assert_eq!(
        (it.namespace.phase(), it.namespace.deadline()),
        (None, None)
    );
}

#[test]
fn second_host_makes_a_round_for_both() {
    let mut it = Fixture::hosts(1);
    assert_eq!(it.join(2, &["A"]), ["1+2: lock 2"]);
    assert!(it.ack(1, Phase::Lock, 2).is_empty());
    assert_eq!(it.ack(2, Phase::Lock, 2), ["1+2: update 2 A=h1+h2"]);
}

#[test]
fn host_without_types_gets_the_table_alone_and_moves_no_version() {
    let mut it = Fixture::new();
    assert_eq!(
        it.join(1, &[]),
        ["1: lock 0", "1: update 0 ", "1: unlock 0"]
    );
    let mut it = Fixture::hosts(1);
    assert_eq!(
        it.join(2, &[]),
        ["2: lock 1", "2: update 1 A=h1", "2: unlock 1"]
    );
    assert!(it.ack(2, Phase::Lock, 1).is_empty());
    assert!(it.close(2).is_empty());
    assert_eq!(it.namespace.version(), 1);
}

#[test]
fn host_without_types_takes_part_in_rounds_of_others() {
    let mut it = Fixture::hosts(1);
    it.join(2, &[]);
    assert_eq!(it.join(3, &["B"]), ["1+2+3: lock 2"]);
    it.ack(1, Phase::Lock, 2);
    it.ack(3, Phase::Lock, 2);
    // Acknowledgements of the table it was handed before do not count.
    assert!(it.ack(2, Phase::Lock, 1).is_empty());
    assert_eq!(it.ack(2, Phase::Lock, 2), ["1+2+3: update 2 A=h1,B=h3"]);
}

#[test]
fn arrivals_during_a_round_share_the_next() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    assert!(it.join(3, &["A"]).is_empty());
    assert!(it.join(4, &[]).is_empty());
    assert_eq!(it.complete(&[1, 2]), ["1+2+3+4: lock 3"]);
}

#[test]
fn arrivals_without_types_during_a_round_get_its_table_when_it_is_over() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.join(3, &[]);
    it.join(4, &[]);
    assert_eq!(
        it.complete(&[1, 2]),
        ["3+4: lock 2", "3+4: update 2 A=h1+h2", "3+4: unlock 2"]
    );
}

#[test]
fn arrival_that_leaves_while_it_waits_is_forgotten() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.join(3, &["A"]);
    assert!(it.close(3).is_empty());
    assert!(it.complete(&[1, 2]).is_empty());
    assert_eq!(it.namespace.version(), 2);
}

#[test]
fn arrival_that_reports_while_it_waits_is_taken_in_as_it_is_then() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.join(3, &[]);
    assert!(it.report(3, &["B"]).is_empty());
    assert_eq!(it.complete(&[1, 2]), ["1+2+3: lock 3"]);
}

#[test]
fn other_types_make_a_round() {
    let mut it = Fixture::hosts(2);
    assert_eq!(it.report(1, &["A", "B"]), ["1+2: lock 3"]);
}

#[test]
fn other_types_before_the_table_is_made_are_part_of_the_round() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["B"]);
    it.ack(1, Phase::Lock, 3);
    assert!(it.report(1, &["C"]).is_empty());
    assert_eq!(it.ack(2, Phase::Lock, 3), ["1+2: update 3 A=h2,C=h1"]);
    assert!(it.complete(&[1, 2]).is_empty());
}

#[test]
fn other_types_after_the_table_was_made_are_part_of_the_next_round() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["B"]);
    (1..=2).for_each(|stream| drop(it.ack(stream, Phase::Lock, 3)));
    assert!(it.report(2, &["C"]).is_empty());
    assert!(it.report(1, &["D"]).is_empty());
    assert_eq!(it.complete(&[1, 2]), ["1+2: lock 4"]);
    it.ack(1, Phase::Lock, 4);
    assert_eq!(it.ack(2, Phase::Lock, 4), ["1+2: update 4 C=h2,D=h1"]);
}

#[test]
fn same_types_in_another_order_change_nothing() {
    let mut it = Fixture::new();
    it.join(1, &["A", "B"]);
    it.complete(&[1]);
    assert!(it.report(1, &["B", "A", "B"]).is_empty());
}

#[test]
fn host_that_drops_its_types_disappears_by_a_round() {
    let mut it = Fixture::hosts(2);
    assert_eq!(it.report(2, &[]), ["1+2: lock 3"]);
    it.ack(1, Phase::Lock, 3);
    assert_eq!(it.ack(2, Phase::Lock, 3), ["1+2: update 3 A=h1"]);
}

#[test]
fn unchanged_report_without_types_is_answered_with_the_table() {
    let mut it = Fixture::hosts(1);
    it.join(2, &[]);
    assert_eq!(
        it.report(2, &[]),
        ["2: lock 1", "2: update 1 A=h1", "2: unlock 1"]
    );
    it.join(3, &["A"]);
    assert!(it.report(2, &[]).is_empty(), "the round will bring it");
}

#[test]
fn acknowledgement_of_another_phase_does_not_count() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.ack(2, Phase::Lock, 2);
    assert!(it.ack(1, Phase::Update, 2).is_empty());
    assert!(it.ack(1, Phase::Unlock, 2).is_empty());
    assert_eq!(it.namespace.phase(), Some(Phase::Lock));
}

#[test]
fn acknowledgement_of_another_round_does_not_count() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.ack(2, Phase::Lock, 2);
    for version in [0, 1, 3] {
        assert!(it.ack(1, Phase::Lock, version).is_empty(), "{version}");
    }
}

#[test]
fn acknowledgement_without_version_counts_for_the_round_under_way() {
    let mut it = Fixture::new();
    it.join(1, &["A"]);
    let ack = Ack {
        phase: Phase::Lock,
        version: None,
    };
    assert_eq!(
        it.step(Event::Acked {
            stream: StreamId(1),
            ack
        }),
        ["1: update 1 A=h1"]
    );
}

#[test]
fn repeated_acknowledgement_counts_once() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.ack(2, Phase::Lock, 2);
    assert!(it.ack(2, Phase::Lock, 2).is_empty());
    assert_eq!(it.namespace.phase(), Some(Phase::Lock));
}

#[test]
fn heartbeat_acknowledges_the_phase_and_reports_otherwise() {
    let mut it = Fixture::new();
    assert_eq!(it.join(1, &["A"]), ["1: lock 1"]);
    assert_eq!(it.heartbeat(1, &["A"]), ["1: update 1 A=h1"]);
    assert_eq!(it.heartbeat(1, &["A"]), ["1: unlock 1"]);
    assert!(it.heartbeat(1, &["A"]).is_empty());
    assert!(it.heartbeat(1, &["A"]).is_empty());
    assert_eq!(it.heartbeat(1, &["B"]), ["1: lock 2"]);
}

#[test]
fn heartbeat_without_types_gets_each_table_once() {
    let mut it = Fixture::new();
    it.join(1, &[]);
    assert!(it.heartbeat(1, &[]).is_empty());
    it.join(2, &["A"]);
    it.complete(&[1, 2]);
    assert!(it.heartbeat(1, &[]).is_empty(), "the round brought it");
}

#[test]
fn departure_at_rest_makes_a_round_for_the_others() {
    let mut it = Fixture::hosts(2);
    assert_eq!(it.close(1), ["2: lock 3"]);
    assert_eq!(it.ack(2, Phase::Lock, 3), ["2: update 3 A=h2"]);
}

#[test]
fn departure_in_the_lock_phase_is_part_of_the_round() {
    let mut it = Fixture::hosts(2);
    it.join(3, &["A"]);
    it.ack(1, Phase::Lock, 3);
    it.ack(3, Phase::Lock, 3);
    assert_eq!(it.close(2), ["1+3: update 3 A=h1+h3"]);
    assert!(it.complete(&[1, 3]).is_empty());
}

#[test]
fn departure_after_the_table_was_sent_makes_the_next_round() {
    for acks in [vec![], vec![Phase::Update]] {
        let mut it = Fixture::hosts(3);
        it.report(1, &["A", "B"]);
        for phase in [vec![Phase::Lock], acks].concat() {
            (1..=3).for_each(|stream| drop(it.ack(stream, phase, 4)));
        }
        assert!(it.close(3).is_empty());
        assert_eq!(it.complete(&[1, 2]), ["1+2: lock 5"]);
    }
}

#[test]
fn departure_of_the_one_who_is_waited_for_completes_the_phase() {
    let mut it = Fixture::hosts(1);
    it.join(2, &[]);
    it.join(3, &["A"]);
    it.ack(1, Phase::Lock, 2);
    it.ack(3, Phase::Lock, 2);
    assert_eq!(it.close(2), ["1+3: update 2 A=h1+h3"]);
}

#[test]
fn acknowledgement_of_one_who_left_is_withdrawn() {
    let mut it = Fixture::hosts(2);
    it.join(3, &["A"]);
    it.ack(3, Phase::Lock, 3);
    it.ack(1, Phase::Lock, 3);
    assert_eq!(it.close(1), Vec::<String>::new(), "2 has not acknowledged");
    assert_eq!(it.ack(2, Phase::Lock, 3), ["2+3: update 3 A=h2+h3"]);
}

#[test]
fn departures_and_arrivals_during_a_round_share_the_next() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["A", "B"]);
    (1..=2).for_each(|stream| drop(it.ack(stream, Phase::Lock, 3)));
    it.join(3, &["A"]);
    it.close(2);
    assert_eq!(it.complete(&[1]), ["1+3: lock 4"]);
}

#[test]
fn everybody_leaving_during_a_round_lets_in_those_who_wait() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["B"]);
    it.join(3, &["C"]);
    assert!(it.close(1).is_empty());
    assert_eq!(it.close(2), ["3: lock 4"]);
    assert_eq!(it.ack(3, Phase::Lock, 4), ["3: update 4 C=h3"]);
}

#[test]
fn namespace_is_empty_when_the_last_stream_left() {
    let mut it = Fixture::hosts(1);
    assert!(!it.namespace.is_empty());
    assert!(it.close(1).is_empty());
    assert!(it.namespace.is_empty());
    assert_eq!(it.namespace.deadline(), None);
}

#[test]
fn a_host_that_does_not_acknowledge_a_lock_is_left_behind_by_the_round() {
    let mut it = Fixture::hosts(3);
    it.report(1, &["A", "B"]);
    it.join(4, &["A"]);
    it.ack(1, Phase::Lock, 4);
    it.ack(3, Phase::Lock, 4);
    assert_eq!(
        it.expire(),
        [
            "close 2: the round of version 4 was not acknowledged within 1s",
            "1+3: update 4 A=h1+h3,B=h1"
        ]
    );
    assert!(it.close(2).is_empty(), "it is forgotten already");
    it.complete(&[1, 3]);
    assert_eq!(it.expire(), ["1+3+4: lock 5"], "after a rest");
}

#[test]
fn a_host_that_does_not_acknowledge_an_unlock_is_missing_from_the_next_round() {
    let mut it = Fixture::hosts(3);
    it.report(1, &["B"]);
    for phase in [Phase::Lock, Phase::Update] {
        (1..=3).for_each(|stream| drop(it.ack(stream, phase, 4)));
    }
    it.ack(1, Phase::Unlock, 4);
    it.ack(3, Phase::Unlock, 4);
    let closed = "close 2: the round of version 4 was not acknowledged within 1s";
    assert_eq!(it.expire(), [closed]);
    assert_eq!(it.expire(), ["1+3: lock 5"], "after a rest");
}

#[test]
fn a_host_may_take_the_whole_timeout_to_let_go_of_its_actors() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["A", "B"]);
    (1..=2).for_each(|stream| drop(it.ack(stream, Phase::Lock, 3)));
    it.ack(1, Phase::Update, 3);
    it.now += SETTINGS.timeout - Duration::from_millis(1);
    assert!(it.step(Event::Tick).is_empty());
    it.now += Duration::from_millis(1);
    assert_eq!(
        it.step(Event::Tick),
        [
            "close 2: the round of version 3 was not acknowledged within 8s",
            "1: unlock 3"
        ]
    );
    it.ack(1, Phase::Unlock, 3);
    assert_eq!(it.expire(), ["1: lock 4"]);
}

/// Upstream's sidecars read no order while they bring calls to an end.
#[test]
fn a_host_that_still_lets_go_is_not_held_to_the_straggler_limit() {
    let mut it = Fixture::hosts(1);
    it.join(2, &[]);
    it.join(3, &["A"]);
    it.ack(1, Phase::Lock, 2);
    it.ack(3, Phase::Lock, 2);
    it.now += SETTINGS.straggler;
    assert!(it.step(Event::Tick).is_empty(), "2 has its first table");
    assert_eq!(
        it.ack(2, Phase::Update, 1),
        Vec::<String>::new(),
        "now it has"
    );
    assert_eq!(it.ack(2, Phase::Lock, 2), ["1+2+3: update 2 A=h1+h3"]);
}

#[test]
fn the_straggler_limit_is_never_longer_than_the_timeout() {
    let mut it = Fixture::with(Settings {
        timeout: Duration::from_millis(500),
        ..SETTINGS
    });
    it.join(1, &["A"]);
    assert_eq!(
        it.namespace.deadline(),
        Some(it.now + Duration::from_millis(500))
    );
    assert_eq!(
        it.expire(),
        ["close 1: the round of version 1 was not acknowledged within 500ms"]
    );
    assert!(it.namespace.is_empty());
}

#[test]
fn timeout_of_everybody_lets_in_those_who_wait() {
    let mut it = Fixture::hosts(1);
    it.report(1, &["B"]);
    it.join(2, &[]);
    let actions = it.expire();
    assert_eq!(actions[1..], ["2: lock 3"]);
    assert_eq!(it.ack(2, Phase::Lock, 3), ["2: update 3 "]);
}

#[test]
fn early_tick_does_nothing() {
    let mut it = Fixture::new();
    assert!(it.step(Event::Tick).is_empty());
    it.join(1, &["A"]);
    it.now += SETTINGS.straggler - Duration::from_nanos(1);
    assert!(it.step(Event::Tick).is_empty());
}

#[test]
fn window_after_a_round_gathers_what_comes() {
    let mut it = Fixture::with_coalesce(Duration::from_millis(200));
    assert_eq!(it.join(1, &["A"]), ["1: lock 1"]);
    it.complete(&[1]);
    for stream in 2..=4 {
        assert!(it.join(stream, &["A"]).is_empty());
    }
    assert!(it.close(1).is_empty());
    assert_eq!(it.expire(), ["2+3+4: lock 2"]);
}

#[test]
fn window_without_changes_ends_in_rest() {
    let mut it = Fixture::with_coalesce(Duration::from_millis(200));
    it.join(1, &["A"]);
    it.complete(&[1]);
    assert!(it.expire().is_empty());
    assert_eq!(it.namespace.deadline(), None);
}

#[test]
fn other_types_are_gathered_as_well() {
    let mut it = Fixture::with_coalesce(Duration::from_millis(200));
    it.join(1, &["A"]);
    it.complete(&[1]);
    it.join(2, &["A"]);
    assert!(it.report(1, &["B"]).is_empty());
    assert_eq!(it.expire(), ["1+2: lock 2"]);
}

#[test]
fn newest_stream_of_a_host_ends_the_older() {
    let mut it = Fixture::new();
    it.join_as(1, "10.0.0.1:50002", &["A", "B"]);
    it.complete(&[1]);
    assert_eq!(
        it.join_as(2, "10.0.0.1:50002", &["A"]),
        ["close 1: a newer stream is of the same host", "2: lock 2"]
    );
    assert_eq!(it.ack(2, Phase::Lock, 2), ["2: update 2 A=10.0.0.1:50002"]);
}

#[test]
fn a_stream_whose_first_message_is_late_does_not_end_a_newer_one() {
    let mut it = Fixture::new();
    it.join_as(2, "10.0.0.1:50002", &["A"]);
    it.complete(&[2]);
    assert_eq!(
        it.join_as(1, "10.0.0.1:50002", &["A", "B"]),
        ["close 1: a newer stream is of the same host"]
    );
}

#[test]
fn newest_stream_ends_one_that_is_waited_for() {
    let mut it = Fixture::hosts(2);
    it.report(1, &["A", "B"]);
    it.ack(1, Phase::Lock, 3);
    assert_eq!(
        it.join_as(3, "h2", &["A"]),
        [
            "close 2: a newer stream is of the same host",
            "1: update 3 A=h1,B=h1"
        ]
    );
    assert_eq!(it.complete(&[1]), ["1+3: lock 4"]);
}

#[test]
fn of_two_apps_that_claim_one_address_the_newest_counts_and_neither_is_ended() {
    let mut it = Fixture::new();
    it.join_as(1, "10.0.0.1:50002", &["A", "B"]);
    it.complete(&[1]);
    let other = Member::new("10.0.0.1:50002", "other", ["A"], ());
    assert_eq!(it.join_with(2, other, Dialect::Plain), ["1+2: lock 2"]);
    it.complete(&[1, 2]);
    let hosts = &it.namespace.table().types;
    assert_eq!(&*hosts["A"]["10.0.0.1:50002"].app_id, "other");
    it.close(2);
    it.complete(&[1]);
    assert_eq!(it.namespace.table().types.len(), 2, "the older is back");
}

#[test]
fn unknown_streams_change_nothing() {
    let mut it = Fixture::hosts(1);
    assert!(it.close(9).is_empty());
    assert!(it.report(9, &["B"]).is_empty());
    assert!(it.heartbeat(9, &["B"]).is_empty());
    assert!(it.ack(9, Phase::Lock, 1).is_empty());
    assert_eq!(it.namespace.version(), 1);
}
