//! Sidecars that take deltas and keep beats.

use super::*;

#[test]
fn a_sidecar_that_takes_deltas_gets_what_differs_and_others_the_whole() {
    let mut it = Fixture::extended(2);
    assert_eq!(it.join(3, &["A"]), ["1+2+3: lock 3"]);
    it.ack(1, Phase::Lock, 3);
    it.ack(2, Phase::Lock, 3);
    assert_eq!(
        it.ack(3, Phase::Lock, 3),
        [
            "1+2: delta 2-3 A+h3",
            "3: update 3 A=h1+h2+h3,own1=h1,own2=h2"
        ]
    );
    it.complete(&[1, 2, 3]);
    it.report(1, &["A", "new"]);
    for stream in 1..=2 {
        it.ack(stream, Phase::Lock, 4);
    }
    assert_eq!(
        it.ack(3, Phase::Lock, 4),
        [
            "1+2: delta 3-4 A+h1,new+h1,own1-h1",
            "3: update 4 A=h1+h2+h3,new=h1,own2=h2"
        ]
    );
}

#[test]
fn beats_are_answered_to_those_who_announced_them() {
    let mut it = Fixture::extended(1);
    assert_eq!(it.beat(1, 7), ["1: alive 7"]);
    it.join(2, &["A"]);
    assert!(it.beat(2, 0).is_empty());
    assert!(it.beat(9, 0).is_empty());
    it.join_extended(3, &["A"]);
    assert_eq!(it.beat(3, 0), ["3: alive 0"], "it waits for the next round");
}

#[test]
fn a_host_without_beats_is_disconnected_when_its_lease_is_over() {
    let mut it = Fixture::extended(2);
    assert!(it.pass(SETTINGS.lease, &[1]).is_empty());
    let actions = it.pass(SETTINGS.lease, &[1]);
    assert_eq!(actions, ["close 2: no beat came for 3.5s", "1: lock 3"]);
    it.complete(&[1]);
    assert_eq!(
        it.pass(SETTINGS.grace(), &[]),
        ["close 1: no beat came for 3.5s"]
    );
    assert!(it.namespace.is_empty());
    assert_eq!(it.namespace.deadline(), None);
}

#[test]
fn a_host_that_says_that_it_leaves_is_waited_for_no_longer() {
    let mut it = Fixture::extended(2);
    it.pass(SETTINGS.lease, &[1, 2]);
    let stream = StreamId(2);
    assert_eq!(it.step(Event::Left { stream }), ["1: lock 3"]);
    assert!(it.close(2).is_empty());
    assert_eq!(it.ack(1, Phase::Lock, 3), ["1: delta 2-3 A-h2,own2-h2"]);
}

#[test]
fn types_of_a_host_that_is_gone_without_a_word_stay_as_they_are_until_its_lease_is_over() {
    let mut it = Fixture::extended(2);
    it.pass(BEAT * 2, &[1]);
    assert!(it.close(2).is_empty(), "it may serve still");
    assert_eq!(it.join(3, &["A", "B"]), ["1+3: lock 3"]);
    it.ack(1, Phase::Lock, 3);
    assert_eq!(
        it.ack(3, Phase::Lock, 3),
        [
            "1: delta 2-3 B+h3",
            "3: update 3 A=h1+h2,B=h3,own1=h1,own2=h2"
        ]
    );
    it.complete(&[1, 3]);
    assert_eq!(it.pass(SETTINGS.lease, &[1]), ["1+3: lock 4"]);
    it.ack(3, Phase::Lock, 4);
    assert_eq!(
        it.ack(1, Phase::Lock, 4),
        [
            "1: delta 3-4 A-h2+h3,own2-h2",
            "3: update 4 A=h1+h3,B=h3,own1=h1"
        ]
    );
}

#[test]
fn a_host_that_comes_back_is_waited_for_no_longer() {
    let mut it = Fixture::extended(2);
    it.pass(BEAT * 2, &[1]);
    it.close(2);
    let member = member("h2", &["A"]);
    assert_eq!(it.join_with(3, member, Dialect::Extended), ["1+3: lock 3"]);
    it.ack(3, Phase::Lock, 3);
    assert_eq!(
        it.ack(1, Phase::Lock, 3),
        ["1: delta 2-3 A+h2,own2-h2", "3: update 3 A=h1+h2,own1=h1"]
    );
}

#[test]
fn a_late_word_of_a_hosts_older_stream_does_not_end_what_the_newer_may_still_serve() {
    let mut it = Fixture::extended(2);
    it.join_with(9, member("h3", &["A"]), Dialect::Extended);
    it.complete(&[1, 2, 9]);
    it.pass(BEAT * 2, &[1, 2]);
    assert!(it.close(9).is_empty(), "it may serve still");
    let late = it.join_with(8, member("h3", &["A"]), Dialect::Extended);
    assert_eq!(late.len(), 1, "{late:?}");
    assert!(late[0].starts_with("close 8: "), "{late:?}");
    let stream = StreamId(8);
    assert!(it.step(Event::Left { stream }).is_empty());
    assert!(it.close(8).is_empty());
    assert_eq!(it.namespace.phase(), None, "its types stay as they are");
    let actions = it.pass(SETTINGS.grace(), &[1, 2]);
    assert_eq!(actions, ["1+2: lock 4"], "its lease is over");
}

#[test]
fn a_straggler_that_may_serve_still_keeps_its_types_as_they_are() {
    let mut it = Fixture::extended(2);
    it.join(3, &["A"]);
    it.ack(1, Phase::Lock, 3);
    it.ack(3, Phase::Lock, 3);
    it.beat(2, 1);
    let actions = it.pass(SETTINGS.straggler, &[1, 2]);
    assert_eq!(
        actions,
        [
            "close 2: the round of version 3 was not acknowledged within 1s",
            "1: delta 2-3 ",
            "3: update 3 A=h1+h2,own1=h1,own2=h2"
        ]
    );
}

#[test]
fn a_round_does_not_end_while_one_serves_what_it_took_from_it() {
    let mut it = Fixture::extended(2);
    it.join(3, &["A"]);
    (1..=3).for_each(|stream| drop(it.ack(stream, Phase::Lock, 3)));
    it.ack(1, Phase::Update, 3);
    it.ack(3, Phase::Update, 3);
    it.pass(BEAT * 2, &[1]);
    assert!(it.close(2).is_empty());
    assert_eq!(it.namespace.phase(), Some(Phase::Update));
    assert_eq!(it.pass(SETTINGS.lease, &[1]), ["1+3: unlock 3"]);
    assert_eq!(it.complete(&[1, 3]), Vec::<String>::new());
    assert_eq!(it.expire(), ["1+3: lock 4"], "without the silent host");
}

#[test]
fn only_types_that_move_away_from_a_late_host_wait_for_it() {
    let mut it = Fixture::extended(3);
    it.join_extended(4, &["A", "own1", "own2"]);
    (1..=4).for_each(|stream| drop(it.ack(stream, Phase::Lock, 4)));
    it.ack(1, Phase::Update, 4);
    it.ack(3, Phase::Update, 4);
    it.now += Duration::from_millis(100);
    assert_eq!(it.step(Event::Tick), ["1+3: release 4 own1"]);
    assert_eq!(it.ack(4, Phase::Update, 4), ["4: release 4 own1"]);
    it.now += Duration::from_millis(100);
    assert!(
        it.step(Event::Tick).is_empty(),
        "A and own2 wait for host 2"
    );
    assert_eq!(
        it.ack(2, Phase::Update, 4),
        ["2: release 4 own1", "1+2+3+4: unlock 4"]
    );
}

#[test]
fn rounds_wait_for_hosts_of_an_earlier_server() {
    let mut it = Fixture::new();
    it.namespace = Namespace::new(SETTINGS, it.now + SETTINGS.grace());
    let begin = it.now;
    let joined = it.step(Event::Joined {
        stream: StreamId(1),
        member: member("h1", &["A"]),
        dialect: Dialect::Extended,
        returning: true,
    });
    assert!(joined.is_empty());
    it.join(2, &["A"]);
    let actions = it.pass(SETTINGS.grace(), &[1]);
    assert_eq!(actions, ["1+2: lock 1"]);
    assert_eq!(it.now, begin + SETTINGS.grace());
}

#[test]
fn changes_that_never_cease_leave_half_the_time_free() {
    let mut it = Fixture::hosts(1);
    it.join(2, &["A"]);
    it.join(3, &["A"]);
    it.now += Duration::from_millis(40);
    assert!(it.complete(&[1, 2]).is_empty());
    assert_eq!(
        it.namespace.deadline(),
        Some(it.now + Duration::from_millis(40))
    );
    it.join(4, &["A"]);
    assert_eq!(it.expire(), ["1+2+3+4: lock 3"]);
}
