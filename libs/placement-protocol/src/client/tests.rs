use std::time::{Duration, Instant};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

struct Fixture {
    client: Client,
    now: Instant,
}

/// Every type of the table is on one host.
fn tables(types: &[(&str, &str)]) -> Tables {
    let entries = types.iter().map(|(actor_type, host)| {
        let host = HostRef {
            address: (*host).into(),
            app_id: "app".into(),
            port: 0,
        };
        (
            (*actor_type).into(),
            vec![HostEntry {
                key: Arc::clone(&host.address),
                host,
            }],
        )
    });
    Tables {
        replication: 10,
        entries: entries.collect(),
    }
}

fn names(types: &[Arc<str>]) -> String {
    types.join("+")
}

impl Fixture {
    fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "only an origin: all time passes by hand"
        )]
        let now = Instant::now();
        Self {
            client: Client::new(TIMEOUT),
            now,
        }
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let actions = self.client.step(event, self.now);
        actions
            .iter()
            .map(|action| match action {
                Action::Report { entities } => format!("report {}", names(entities)),
                Action::Acknowledge { phase, version } => format!("ack {phase} {version}"),
                Action::Beat { beat } => format!("beat {beat}"),
                Action::Lease(Lease::Until(until)) => {
                    format!("lease {:?}", until.saturating_duration_since(self.now))
                }
                Action::Lease(lease) => format!("lease {lease:?}").to_lowercase(),
                Action::Publish(routing) => {
                    assert_eq!(routing, self.client.routing());
                    "publish".to_owned()
                }
                Action::Settle { version, moved } => format!("settle {version} {}", names(moved)),
                Action::Ready => "ready".to_owned(),
                Action::HaltAll { by: None } => "halt all".to_owned(),
                Action::HaltAll { by: Some(by) } => {
                    format!(
                        "halt all within {:?}",
                        by.saturating_duration_since(self.now)
                    )
                }
                Action::Ignored { phase, version } => format!("ignored {phase} {version}"),
                Action::Close(error) => format!("close: {error}"),
            })
            .collect()
    }

    fn lock(&mut self, version: u64) -> Vec<String> {
        self.step(Event::Lock { version })
    }

    fn update(&mut self, version: u64, types: &[(&str, &str)]) -> Vec<String> {
        self.step(Event::Update {
            version,
            tables: tables(types),
        })
    }

    fn settled(&mut self, version: u64) -> Vec<String> {
        self.step(Event::Settled { version })
    }

    fn unlock(&mut self, version: u64) -> Vec<String> {
        self.step(Event::Unlock { version })
    }

    fn held(&self) -> Vec<&str> {
        self.client
            .routing()
            .moving()
            .map(|actor_type| &**actor_type)
            .collect()
    }

    /// Connected, with version 1 in force.
    fn with_table(types: &[(&str, &str)]) -> Self {
        let mut it = Self::new();
        it.step(Event::Connected);
        it.lock(1);
        it.update(1, types);
        it.settled(1);
        it.unlock(1);
        it
    }
}

#[test]
fn whole_round() {
    let mut it = Fixture::new();
    assert!(
        it.step(Event::Hosting(vec!["B".into(), "A".into()]))
            .is_empty()
    );
    assert_eq!(it.step(Event::Connected), ["report A+B"]);
    assert_eq!(it.lock(1), ["ack lock 1"]);
    assert_eq!(
        it.update(1, &[("A", "h1"), ("B", "h1")]),
        ["publish", "settle 1 A+B"]
    );
    assert_eq!(it.held(), ["A", "B"]);
    assert_eq!(it.settled(1), ["ack update 1"]);
    assert_eq!(it.unlock(1), ["publish", "ack unlock 1", "ready"]);
    assert!(it.held().is_empty());
    assert_eq!(it.client.deadline(), None);
}

#[test]
fn only_moved_types_are_held() {
    let mut it = Fixture::with_table(&[("A", "h1"), ("B", "h1")]);
    it.lock(2);
    assert_eq!(
        it.update(2, &[("A", "h1"), ("B", "h2")]),
        ["publish", "settle 2 B"]
    );
    assert_eq!(it.held(), ["B"]);
}

#[test]
fn restarted_round_keeps_what_it_held_until_the_last_unlock() {
    let mut it = Fixture::with_table(&[("A", "h1"), ("B", "h1")]);
    it.lock(2);
    it.update(2, &[("A", "h2"), ("B", "h1")]);
    assert_eq!(it.lock(3), ["ack lock 3"]);
    assert_eq!(
        it.update(3, &[("A", "h2"), ("B", "h2")]),
        ["publish", "settle 3 A+B"]
    );
    assert!(it.settled(2).is_empty(), "overtaken");
    assert_eq!(it.settled(3), ["ack update 3"]);
    assert_eq!(it.held(), ["A", "B"]);
    assert_eq!(it.unlock(2), ["ignored unlock 2"]);
    it.unlock(3);
    assert!(it.held().is_empty());
}

#[test]
fn settled_types_are_not_settled_again() {
    let mut it = Fixture::with_table(&[("A", "h1"), ("B", "h1")]);
    it.lock(2);
    it.update(2, &[("A", "h2"), ("B", "h1")]);
    it.settled(2);
    it.lock(3);
    assert_eq!(
        it.update(3, &[("A", "h2"), ("B", "h2")]),
        ["publish", "settle 3 B"]
    );
    assert_eq!(it.held(), ["A", "B"]);
}

#[test]
fn orders_sent_at_once_are_acknowledged_in_their_order() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    it.lock(0);
    it.update(0, &[]);
    assert!(it.unlock(0).is_empty());
    assert_eq!(
        it.settled(0),
        ["ack update 0", "publish", "ack unlock 0", "ready"]
    );
}

#[test]
fn lock_after_a_one_shot_keeps_its_own_timer() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    it.lock(1);
    it.update(1, &[]);
    it.unlock(1);
    it.lock(2);
    it.settled(1);
    assert_eq!(
        it.client.deadline(),
        Some(it.now + TIMEOUT),
        "the update of 2 is due"
    );
}

#[test]
fn unlock_without_update_is_ignored() {
    let mut it = Fixture::with_table(&[]);
    assert_eq!(it.unlock(1), ["ignored unlock 1"]);
    it.lock(2);
    assert_eq!(it.unlock(2), ["ignored unlock 2"]);
}

#[test]
fn older_update_or_lock_ends_the_stream() {
    let mut it = Fixture::with_table(&[]);
    it.lock(5);
    assert_eq!(
        it.update(4, &[]),
        ["close: version mismatch: expected 5, got 4"]
    );
    assert_eq!(it.lock(4), ["close: version mismatch: expected 5, got 4"]);
}

#[test]
fn missing_update_ends_the_stream() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    it.lock(3);
    it.now += TIMEOUT;
    assert_eq!(
        it.step(Event::Tick),
        ["close: dissemination timeout after 30s for version 3"]
    );
    assert!(it.step(Event::Tick).is_empty());
}

#[test]
fn missing_unlock_ends_the_stream() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    it.lock(3);
    it.update(3, &[]);
    assert_eq!(it.client.deadline(), None, "settling is bounded elsewhere");
    it.settled(3);
    it.now += TIMEOUT;
    assert_eq!(
        it.step(Event::Tick),
        ["close: dissemination timeout after 30s for version 3"]
    );
}

#[test]
fn lost_stream_forgets_the_table_and_what_was_held() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    it.lock(2);
    it.update(2, &[("A", "h2")]);
    assert_eq!(it.step(Event::Lost), ["lease over", "publish", "halt all"]);
    assert_eq!(it.client.routing().hosts_of("A"), Err(Held::NoTable));
    assert!(it.held().is_empty());
    assert!(it.settled(2).is_empty());
    assert_eq!(it.client.deadline(), None);
}

#[test]
fn next_stream_starts_with_any_version_and_moves_everything() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    it.step(Event::Hosting(vec!["A".into()]));
    it.lock(9);
    it.step(Event::Lost);
    assert_eq!(it.step(Event::Connected), ["report A"]);
    assert_eq!(it.lock(1), ["ack lock 1"]);
    assert_eq!(it.update(1, &[("A", "h1")]), ["publish", "settle 1 A"]);
}

#[test]
fn other_hosted_types_are_reported_once() {
    let mut it = Fixture::with_table(&[]);
    assert_eq!(
        it.step(Event::Hosting(vec!["B".into(), "A".into(), "B".into()])),
        ["report A+B"]
    );
    assert!(
        it.step(Event::Hosting(vec!["A".into(), "B".into()]))
            .is_empty()
    );
    assert_eq!(it.step(Event::Hosting(vec![])), ["report "]);
}

fn change(entity: &str, removed: &[&str], upserted: &[&str]) -> (Arc<str>, TypeDelta) {
    let hosts = upserted.iter().map(|name| HostEntry {
        key: (*name).into(),
        host: HostRef {
            address: (*name).into(),
            app_id: "app".into(),
            port: 0,
        },
    });
    let change = TypeDelta {
        removed: removed.iter().map(|name| (*name).into()).collect(),
        upserted: hosts.collect(),
    };
    (entity.into(), change)
}

fn delta<const N: usize>(base: u64, types: [(Arc<str>, TypeDelta); N]) -> Delta {
    Delta {
        base,
        replication: 10,
        types: types.into(),
    }
}

impl Fixture {
    fn delta<const N: usize>(
        &mut self,
        version: u64,
        types: [(Arc<str>, TypeDelta); N],
    ) -> Vec<String> {
        let delta = delta(version - 1, types);
        self.step(Event::Delta { version, delta })
    }

    fn hosts_of(&self, entity: &str) -> Vec<String> {
        let route = self.client.routing().hosts_of(entity);
        let hosts = route.ok().flatten().map(|route| route.hosts());
        let names = hosts
            .unwrap_or_default()
            .iter()
            .map(|host| host.address.to_string());
        names.collect()
    }
}

#[test]
fn a_delta_changes_what_it_names_and_nothing_else() {
    let mut it = Fixture::with_table(&[("A", "h1"), ("B", "h1"), ("C", "h1")]);
    it.lock(2);
    let types = [
        change("A", &[], &["h2"]),
        change("B", &["h1"], &[]),
        change("D", &[], &["h2"]),
    ];
    assert_eq!(it.delta(2, types), ["publish", "settle 2 A+B+D"]);
    assert_eq!(it.held(), ["A", "B", "D"]);
    assert_eq!(it.hosts_of("C"), ["h1"]);
    it.settled(2);
    it.unlock(2);
    assert_eq!(it.hosts_of("A"), ["h1", "h2"]);
    assert_eq!(it.hosts_of("B"), Vec::<String>::new());
    assert_eq!(it.hosts_of("D"), ["h2"]);
}

#[test]
fn a_delta_that_changes_nothing_moves_nothing() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    it.lock(2);
    assert_eq!(
        it.delta(2, [change("A", &["h9"], &["h1"])]),
        ["publish", "settle 2 "]
    );
    assert_eq!(it.client.routing().version(), Some(2));
}

#[test]
fn a_delta_makes_the_table_that_the_whole_would() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    it.lock(2);
    it.delta(2, [change("A", &["h1"], &["h2"])]);
    let mut other = Fixture::with_table(&[("A", "h1")]);
    other.lock(2);
    other.update(2, &[("A", "h2")]);
    assert_eq!(it.client.routing(), other.client.routing());
}

#[test]
fn a_delta_to_another_table_ends_the_stream() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    it.lock(3);
    let missing = it.delta(3, [change("A", &[], &["h2"])]);
    assert_eq!(
        missing,
        ["close: the changes apply to version 2, here is Some(1)"]
    );
    assert_eq!(it.hosts_of("A"), ["h1"]);
}

#[test]
fn released_types_can_be_called_ahead_of_the_unlock() {
    let mut it = Fixture::with_table(&[]);
    it.lock(2);
    it.update(2, &[("A", "h1"), ("B", "h1")]);
    let release = || Event::Release {
        version: 2,
        types: vec!["A".into()],
    };
    assert!(it.step(release()).is_empty(), "it has not let go itself");
    it.settled(2);
    assert_eq!(it.step(release()), ["publish"]);
    assert_eq!(it.held(), ["B"]);
    assert_eq!(it.unlock(2), ["publish", "ack unlock 2", "ready"]);
}

#[test]
fn a_lease_counts_from_when_the_answered_beat_was_sent() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    let lease = Duration::from_secs(3);
    let accepted = it.step(Event::Accepted { lease: Some(lease) });
    assert_eq!(accepted, ["beat 0"]);
    it.now += Duration::from_millis(400);
    assert_eq!(it.step(Event::Alive { beat: 0 }), ["lease 2.6s"]);
    it.now += Duration::from_millis(600);
    assert_eq!(it.step(Event::Tick), ["beat 1"]);
    it.now += Duration::from_secs(1);
    assert_eq!(it.step(Event::Tick), ["beat 2"]);
    assert_eq!(it.step(Event::Alive { beat: 2 }), ["lease 3s"]);
    assert!(it.step(Event::Alive { beat: 1 }).is_empty(), "older");
    assert!(it.step(Event::Alive { beat: 9 }).is_empty(), "never sent");
}

#[test]
fn a_sidecar_whose_beats_are_not_answered_ends_its_stream() {
    let mut it = Fixture::with_table(&[("A", "h1")]);
    let lease = Duration::from_secs(3);
    it.step(Event::Accepted { lease: Some(lease) });
    it.step(Event::Alive { beat: 0 });
    it.now += lease;
    assert_eq!(it.client.deadline(), Some(it.now - lease + lease / 3));
    assert_eq!(
        it.step(Event::Tick),
        ["close: placement answered no beat for 3s"]
    );
    assert_eq!(
        it.step(Event::Lost),
        ["lease over", "publish", "halt all within 0ns"]
    );
    assert_eq!(it.client.deadline(), None);
}

#[test]
fn a_placement_without_leases_is_served_as_long_as_the_stream_is_there() {
    let mut it = Fixture::new();
    it.step(Event::Connected);
    assert_eq!(it.step(Event::Accepted { lease: None }), ["lease stream"]);
    assert_eq!(it.client.deadline(), None);
    assert!(it.step(Event::Alive { beat: 0 }).is_empty());
}
