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
                Action::Publish(routing) => {
                    assert_eq!(routing, self.client.routing());
                    "publish".to_owned()
                }
                Action::Settle { version, moved } => format!("settle {version} {}", names(moved)),
                Action::Ready => "ready".to_owned(),
                Action::HaltAll => "halt all".to_owned(),
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
    assert_eq!(it.step(Event::Lost), ["publish", "halt all"]);
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
