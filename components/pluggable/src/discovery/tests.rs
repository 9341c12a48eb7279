use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;
use trilby_components::registry::Block;

use super::{Discovery, Event, Found, PAUSES, Question};
use crate::{
    folder::{Listing, Stamp},
    services::{Service, Services},
};

const FOLDER: &str = "/sockets";

fn listing(sockets: &[(&str, u64)]) -> Event {
    let sockets = sockets.iter();
    let sockets: BTreeMap<_, _> = sockets
        .map(|(file, inode)| (Path::new(FOLDER).join(file), Stamp::number(*inode)))
        .collect();
    Event::Listed(Listing {
        sockets,
        others: Vec::new(),
    })
}

/// Discovery at one moment.
struct At {
    discovery: Discovery,
    now: Instant,
}

impl At {
    fn new() -> Self {
        Self {
            discovery: Discovery::default(),
            now: Instant::now(),
        }
    }

    /// Which sockets are asked because of an event.
    fn asked(&mut self, event: Event) -> Vec<Question> {
        self.discovery.step(event, self.now)
    }

    fn answer(&mut self, question: &Question, answer: Result<Service, &str>) {
        let answer = answer.map(|service| Services::from([service]));
        let answer = answer.map_err(str::to_owned);
        let asked = self.asked(Event::Answered(question.clone(), answer));
        assert!(asked.is_empty());
    }

    fn state(&self, name: &str) -> Found<'_> {
        self.discovery.find(Block::State, name, Path::new(FOLDER))
    }

    fn missing(&self, name: &str) -> String {
        match self.state(name) {
            Found::Missing(reason) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_known_before_the_folder_was_looked_at() {
    let mut at = At::new();
    assert_eq!(at.state("a"), Found::Unknown);
    assert!(at.asked(listing(&[])).is_empty());
    assert_eq!(
        at.missing("a"),
        "there is no socket of a pluggable component \"a\" in /sockets"
    );
}

#[test]
fn a_socket_is_asked_once_and_then_known() {
    let mut at = At::new();
    let asked = at.asked(listing(&[("a.sock", 1)]));
    assert_eq!(at.state("a"), Found::Unknown, "it is being asked");
    assert!(at.asked(listing(&[("a.sock", 1)])).is_empty());
    at.answer(&asked[0], Ok(Service::StateStore));
    assert!(matches!(at.state("a"), Found::Served(path, _) if path == asked[0].path));
    assert!(at.asked(listing(&[("a.sock", 1)])).is_empty());
    assert_eq!(at.discovery.arrivals()["state.a"], 1);
}

#[test]
fn one_that_serves_another_block_is_said_to() {
    let mut at = At::new();
    let asked = at.asked(listing(&[("a.sock", 1)]));
    at.answer(&asked[0], Ok(Service::SecretStore));
    assert_eq!(
        at.missing("a"),
        "the pluggable component /sockets/a.sock serves no state store"
    );
    let arrivals: Vec<_> = at.discovery.arrivals().into_keys().collect();
    assert_eq!(arrivals, ["secretstores.a"]);
}

#[test]
fn one_that_fails_is_asked_again_after_a_pause_and_holds_up_no_other() {
    let mut at = At::new();
    let asked = at.asked(listing(&[("bad.sock", 1), ("good.sock", 2)]));
    at.answer(&asked[1], Ok(Service::StateStore));
    at.answer(&asked[0], Err("no answer"));
    assert!(matches!(at.state("good"), Found::Served(..)));
    assert_eq!(
        at.missing("bad"),
        "the pluggable component /sockets/bad.sock cannot be used: no answer"
    );
    let sockets = [("bad.sock", 1), ("good.sock", 2)];
    assert!(at.asked(listing(&sockets)).is_empty(), "it is too early");
    at.now += 2 * PAUSES.0;
    let again = at.asked(listing(&sockets));
    assert_eq!(again, asked[..1]);
    assert!(at.asked(listing(&sockets)).is_empty(), "it is being asked");
    at.answer(&again[0], Ok(Service::StateStore));
    assert!(matches!(at.state("bad"), Found::Served(..)));
}

#[test]
fn pauses_have_an_end() {
    let mut at = At::new();
    for _ in 0..50 {
        let asked = at.asked(listing(&[("bad.sock", 1)]));
        at.answer(&asked[0], Err("no answer"));
        at.now += PAUSES.1;
    }
    assert!(!at.asked(listing(&[("bad.sock", 1)])).is_empty());
}

#[test]
fn a_process_that_starts_again_arrives_again() {
    let mut at = At::new();
    let first = at.asked(listing(&[("a.sock", 1)]));
    at.answer(&first[0], Ok(Service::StateStore));
    let second = at.asked(listing(&[("a.sock", 2)]));
    at.answer(&first[0], Err("this is late"));
    assert_eq!(at.state("a"), Found::Unknown);
    at.answer(&second[0], Ok(Service::StateStore));
    assert_eq!(at.discovery.arrivals()["state.a"], 2);
    at.asked(listing(&[]));
    assert!(at.discovery.arrivals().is_empty());
}

#[test]
fn another_one_is_asked_while_the_one_before_hangs() {
    let mut at = At::new();
    at.asked(listing(&[("a.sock", 1)]));
    at.now += Duration::from_secs(1);
    let second = at.asked(listing(&[("a.sock", 2)]));
    assert_eq!(second.len(), 1);
}

#[test]
fn of_one_name_the_last_file_serves() {
    let mut at = At::new();
    let asked = at.asked(listing(&[("a.one", 1), ("a.two", 2)]));
    at.answer(&asked[0], Ok(Service::StateStore));
    at.answer(&asked[1], Ok(Service::StateStore));
    let last = PathBuf::from("/sockets/a.two");
    assert!(matches!(at.state("a"), Found::Served(path, _) if path == last));
}

#[test]
fn a_folder_that_cannot_be_read_is_named_with_the_reason() {
    let mut at = At::new();
    at.asked(Event::Unreadable("permission denied".to_owned()));
    assert_eq!(
        at.missing("a"),
        "pluggable components cannot be looked for in /sockets: permission denied"
    );
}
