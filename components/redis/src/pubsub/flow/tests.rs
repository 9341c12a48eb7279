use bytes::Bytes;

use super::{Action, Alarm, Event, Flow, Limits};
use crate::pubsub::entry::{Entry, Id};

const LIMITS: Limits = Limits {
    depth: 3,
    workers: 2,
    redelivers: true,
};

fn id(number: u64) -> Id {
    Id::parse(&format!("1-{number}")).unwrap()
}

fn entry(number: u64) -> Entry {
    Entry {
        id: id(number),
        data: Bytes::new(),
        metadata: Default::default(),
    }
}

fn entries(numbers: &[u64]) -> Vec<Entry> {
    numbers.iter().copied().map(entry).collect()
}

/// One that has looked for what is due and found nothing.
fn flow(limits: Limits) -> Flow {
    let mut flow = Flow::new(limits);
    flow.step(Event::Begin);
    if limits.redelivers {
        assert_eq!(flow.step(Event::Claimed(vec![], None)), []);
    }
    flow
}

#[test]
fn it_begins_with_what_was_left_behind() {
    let actions = Flow::new(LIMITS).step(Event::Begin);
    let claim = Action::Claim {
        from: Id::default(),
        most: 3,
        held: [].into(),
    };
    let sleeps = [Alarm::Redeliver, Alarm::Renew].map(Action::Sleep);
    assert_eq!(actions[..2], sleeps);
    assert_eq!(actions[2..], [Action::Read(3), claim]);
}

#[test]
fn it_reads_as_much_as_there_is_room_for() {
    let mut flow = flow(LIMITS);
    let actions = flow.step(Event::Read(entries(&[1, 2, 3])));
    let handle = |number| Action::Handle(entry(number));
    assert_eq!(actions, [handle(1), handle(2), Action::Read(2)]);
    assert_eq!(flow.step(Event::Read(entries(&[4, 5]))), []);
    let actions = flow.step(Event::Handled(id(1)));
    assert_eq!(actions, [handle(3), Action::Read(1)]);
}

#[test]
fn what_is_held_is_not_claimed_and_is_renewed() {
    let mut flow = flow(LIMITS);
    flow.step(Event::Read(entries(&[1, 2, 3])));
    let actions = flow.step(Event::Due(Alarm::Redeliver));
    let claim = Action::Claim {
        from: Id::default(),
        most: 2,
        held: [1, 2, 3].map(id).into(),
    };
    assert_eq!(actions, [Action::Sleep(Alarm::Redeliver), claim]);
    let actions = flow.step(Event::Due(Alarm::Renew));
    assert_eq!(actions, [Action::Renew([1, 2, 3].map(id).to_vec())]);
}

#[test]
fn what_another_took_over_is_not_handled_any_more() {
    let mut flow = flow(LIMITS);
    flow.step(Event::Read(entries(&[1, 2, 3])));
    let actions = flow.step(Event::Renewed(vec![id(3)]));
    assert_eq!(actions, [Action::Sleep(Alarm::Renew)]);
    assert_eq!(flow.step(Event::Handled(id(1))), []);
}

#[test]
fn nothing_held_is_not_told() {
    let actions = flow(LIMITS).step(Event::Due(Alarm::Renew));
    assert_eq!(actions, [Action::Sleep(Alarm::Renew)]);
}

#[test]
fn a_search_goes_on_where_it_was_once_there_is_room() {
    let mut flow = flow(LIMITS);
    flow.step(Event::Due(Alarm::Redeliver));
    let actions = flow.step(Event::Claimed(entries(&[1, 2, 3, 4, 5]), Some(id(6))));
    assert_eq!(actions.len(), 2, "no room: {actions:?}");
    let actions = flow.step(Event::Handled(id(1)));
    let claim = Action::Claim {
        from: id(6),
        most: 1,
        held: [2, 3, 4, 5].map(id).into(),
    };
    assert_eq!(actions, [Action::Handle(entry(3)), claim]);
}

#[test]
fn once_stopped_what_waits_is_given_back_and_what_is_handled_waited_for() {
    let mut flow = flow(LIMITS);
    flow.step(Event::Read(entries(&[1, 2, 3])));
    assert_eq!(flow.step(Event::Stop), [Action::Release(vec![id(3)])]);
    // What the read brought that was under way.
    let actions = flow.step(Event::Read(entries(&[4])));
    assert_eq!(actions, [Action::Release(vec![id(4)])]);
    for event in [
        Event::Handled(id(1)),
        Event::Released,
        Event::Handled(id(2)),
        Event::Released,
    ] {
        assert!(!flow.is_over(), "{event:?} is missing");
        assert_eq!(flow.step(event), []);
    }
    assert!(flow.is_over());
}

#[test]
fn without_redelivery_what_waits_is_handled_before_the_end() {
    let mut flow = flow(Limits {
        redelivers: false,
        ..LIMITS
    });
    flow.step(Event::Read(entries(&[1, 2, 3])));
    assert_eq!(flow.step(Event::Stop), []);
    flow.step(Event::Read(vec![]));
    let actions = flow.step(Event::Handled(id(1)));
    assert_eq!(actions, [Action::Handle(entry(3))]);
    flow.step(Event::Handled(id(2)));
    assert!(!flow.is_over());
    flow.step(Event::Handled(id(3)));
    assert!(flow.is_over());
}
