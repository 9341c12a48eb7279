use std::num::NonZeroU32;

use super::*;
use crate::unserved::judgement::Lacking;

fn start() -> Instant {
    // Far from the clock's own beginning.
    Instant::now() + Duration::from_secs(86_400)
}

/// One that knows that there are no pods.
fn repairing(per_minute: u32, now: Instant) -> Ledger {
    let mut ledger = beginning(per_minute, now);
    ledger.list_begins();
    ledger.list_ends();
    ledger
}

fn beginning(per_minute: u32, now: Instant) -> Ledger {
    Ledger::new(Some(Pace::per_minute(
        NonZeroU32::new(per_minute).unwrap(),
        now,
    )))
}

fn key(name: &str) -> Key {
    Key {
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn controller(uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: uid.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

fn lacking(reason: Reason, owner: &str) -> Look {
    Look::Lacking(Box::new(Lacking {
        reason,
        controller: Some(controller(owner)),
    }))
}

fn lost(ledger: &mut Ledger, pod: &str, owner: &str, now: Instant) {
    ledger.see(key(pod), pod, lacking(Reason::NoAnswer, owner), now);
}

fn served(ledger: &mut Ledger, pod: &str, owner: &str, now: Instant) {
    let look = Look::Served {
        controller: Some(owner.into()),
    };
    ledger.see(key(pod), pod, look, now);
}

/// Everything that is to be told.
fn news(ledger: &mut Ledger) -> Vec<News> {
    std::iter::from_fn(|| ledger.next_news()).collect()
}

/// Evicts whatever may go now: the names of these pods, which are gone then.
fn evict_all(ledger: &mut Ledger, now: Instant) -> Vec<String> {
    let mut names = Vec::new();
    while let Next::Evict(candidate) = ledger.next_repair(now) {
        ledger.evicted(&candidate, Outcome::Evicted, now);
        ledger.gone(&candidate.pod, &candidate.uid);
        names.push(candidate.pod.name.to_string());
    }
    names
}

fn lost_pods(ledger: &mut Ledger, count: u32, now: Instant) {
    for number in 0..count {
        lost(ledger, &format!("p{number}"), "r", now);
    }
    news(ledger);
}

#[test]
fn each_pod_is_told_of_once_and_its_owner_once_a_reason() {
    let (mut ledger, now) = (Ledger::new(None), start());
    for pod in ["a", "b", "a"] {
        lost(&mut ledger, pod, "r", now);
    }
    let told = news(&mut ledger);
    let owners: Vec<_> = told
        .iter()
        .map(|news| match news {
            News::Lacking { pod, owner, .. } => (pod.name.to_string(), owner.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(owners, [("a".to_owned(), true), ("b".to_owned(), false)]);
    lost(&mut ledger, "a", "r", now);
    assert_eq!(news(&mut ledger), []);
    let refused = Reason::Refused("no".into());
    ledger.see(key("a"), "a", lacking(refused, "r"), now);
    assert_eq!(news(&mut ledger).len(), 1, "another reason is news");
}

#[test]
fn pods_are_counted_by_namespace_and_reason_until_they_are_gone() {
    let (mut ledger, now) = (Ledger::new(None), start());
    lost(&mut ledger, "a", "r", now);
    lost(&mut ledger, "b", "r", now);
    let shop = |number| vec![(Box::from("shop"), "no_answer", number)];
    assert_eq!(ledger.counts().take_changes(), shop(2));
    assert_eq!(ledger.counts().take_changes(), []);
    ledger.gone(&key("a"), "a");
    served(&mut ledger, "b", "r", now);
    assert_eq!(ledger.counts().take_changes(), shop(0));
}

#[test]
fn a_list_forgets_pods_that_went_unseen() {
    let (mut ledger, now) = (Ledger::new(None), start());
    lost(&mut ledger, "gone", "r", now);
    lost(&mut ledger, "there", "r", now);
    ledger.list_begins();
    lost(&mut ledger, "there", "r", now);
    ledger.list_ends();
    let shop = vec![(Box::from("shop"), "no_answer", 1)];
    assert_eq!(ledger.counts().take_changes(), shop);
}

#[test]
fn one_pod_goes_first_and_the_others_once_its_replacement_is_served() {
    let now = start();
    let mut ledger = repairing(10_000, now);
    served(&mut ledger, "before", "r", now);
    lost_pods(&mut ledger, 5, now);
    assert_eq!(evict_all(&mut ledger, now), ["p0"]);
    served(&mut ledger, "before", "r", now);
    assert_eq!(evict_all(&mut ledger, now), [""; 0], "it is no replacement");
    served(&mut ledger, "new", "r", now);
    assert_eq!(evict_all(&mut ledger, now), ["p1", "p2", "p3", "p4"]);
}

#[test]
fn nothing_goes_before_all_pods_are_known_so_that_none_of_them_is_taken_for_a_replacement() {
    let now = start();
    let mut ledger = beginning(60_000, now);
    ledger.list_begins();
    lost_pods(&mut ledger, 1, now);
    assert_eq!(ledger.next_repair(now), Next::Nothing);
    lost_pods(&mut ledger, 3, now);
    ledger.list_ends();
    assert_eq!(evict_all(&mut ledger, now), ["p0"]);
    assert_eq!(news(&mut ledger), []);
    served(&mut ledger, "new", "r", now);
    assert_eq!(evict_all(&mut ledger, now), ["p1", "p2"]);
}

#[test]
fn nothing_goes_that_was_not_told_of_or_that_repair_would_not_help() {
    let now = start();
    let mut ledger = repairing(1000, now);
    lost(&mut ledger, "untold", "r", now);
    let refused = Reason::Refused("no".into());
    ledger.see(key("refused"), "refused", lacking(refused, "q"), now);
    assert_eq!(ledger.next_repair(now), Next::Nothing);
    news(&mut ledger);
    assert_eq!(evict_all(&mut ledger, now), ["untold"]);
}

#[test]
fn without_repair_nothing_goes() {
    let (mut ledger, now) = (Ledger::new(None), start());
    lost_pods(&mut ledger, 3, now);
    assert_eq!(ledger.next_repair(now), Next::Nothing);
}

#[test]
fn an_owner_whose_pods_come_back_without_rests_longer_each_time() {
    let mut now = start();
    let mut ledger = repairing(1000, now);
    lost_pods(&mut ledger, 3, now);
    let mut rests = Vec::new();
    for round in 0..10 {
        assert_eq!(evict_all(&mut ledger, now).len(), 1, "round {round}");
        lost(&mut ledger, &format!("again{round}"), "r", now);
        let rest = news(&mut ledger).into_iter().find_map(|news| match news {
            News::InVain { rest, .. } => Some(rest),
            News::Lacking { .. } => None,
        });
        let rest = rest.expect("it is told");
        assert_eq!(ledger.next_repair(now), Next::At(now + rest));
        rests.push(rest);
        now += rest;
    }
    // With jitter by half: 30 s at first, half as much again each time.
    assert!(rests[0] < Duration::from_secs(46), "{rests:?}");
    assert!(rests[9] > Duration::from_secs(500), "{rests:?}");
}

/// An owner with this many pods to go beside the one whose replacement has just come with its sidecar.
fn trusted(others: u32, now: Instant) -> Ledger {
    let mut ledger = repairing(60_000, now);
    lost_pods(&mut ledger, others + 1, now);
    assert_eq!(evict_all(&mut ledger, now), ["p0"]);
    served(&mut ledger, "new", "r", now);
    ledger
}

fn in_vain_of(news: &[News]) -> usize {
    let in_vain = |news: &&News| matches!(news, News::InVain { .. });
    news.iter().filter(in_vain).count()
}

#[test]
fn a_pod_that_comes_without_among_others_that_do_not_is_evicted_again_and_its_owner_goes_on() {
    let now = start();
    let mut ledger = trusted(3, now);
    assert_eq!(evict_all(&mut ledger, now), ["p1", "p2", "p3"]);
    served(&mut ledger, "new1", "r", now);
    lost(&mut ledger, "late", "r", now);
    assert_eq!(in_vain_of(&news(&mut ledger)), 0);
    assert_eq!(evict_all(&mut ledger, now), ["late"]);
    served(&mut ledger, "new2", "r", now);
    served(&mut ledger, "new3", "r", now);
    assert_eq!(ledger.counts().take_changes()[0].2, 0);
}

#[test]
fn an_owner_for_which_repair_ceases_to_work_rests_after_a_bounded_number_of_pods() {
    let now = start();
    let mut ledger = trusted(200, now);
    for number in 0..100 {
        served(&mut ledger, &format!("new{number}"), "r", now);
    }
    let mut gone = 0;
    while let Next::Evict(candidate) = ledger.next_repair(now) {
        ledger.evicted(&candidate, Outcome::Evicted, now);
        ledger.gone(&candidate.pod, &candidate.uid);
        lost(&mut ledger, &format!("again{gone}"), "r", now);
        gone += 1;
    }
    assert_eq!(gone, 11, "its credit, and one");
    assert_eq!(in_vain_of(&news(&mut ledger)), 1);
}

#[test]
fn a_new_pod_with_its_sidecar_ends_the_rest_of_its_owner() {
    let now = start();
    let mut ledger = repairing(60_000, now);
    served(&mut ledger, "old", "r", now);
    lost_pods(&mut ledger, 2, now);
    assert_eq!(evict_all(&mut ledger, now), ["p0"]);
    lost(&mut ledger, "again", "r", now);
    assert_eq!(in_vain_of(&news(&mut ledger)), 1);
    served(&mut ledger, "old", "r", now);
    assert_eq!(evict_all(&mut ledger, now), [""; 0], "it is no new pod");
    served(&mut ledger, "new", "r", now);
    assert_eq!(evict_all(&mut ledger, now), ["again", "p1"]);
}

#[test]
fn the_first_pods_of_all_owners_are_told_of_before_the_others() {
    let (mut ledger, now) = (Ledger::new(None), start());
    for owner in ["a", "b"] {
        for number in 0..2 {
            lost(&mut ledger, &format!("{owner}{number}"), owner, now);
        }
    }
    let told = news(&mut ledger);
    let names = told.iter().map(|news| match news {
        News::Lacking { pod, .. } => &*pod.name,
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["a0", "b0", "a1", "b1"]);
}

#[test]
fn owners_take_turns() {
    let mut now = start();
    let mut ledger = repairing(60, now);
    let mut gone = Vec::new();
    for owner in ["a", "b"] {
        for number in 0..20 {
            lost(&mut ledger, &format!("{owner}{number}"), owner, now);
        }
    }
    news(&mut ledger);
    evict_all(&mut ledger, now);
    for owner in ["a", "b"] {
        served(&mut ledger, &format!("{owner}new"), owner, now);
    }
    for _ in 0..20 {
        now += Duration::from_secs(1);
        gone.extend(evict_all(&mut ledger, now));
    }
    let of_a = gone.iter().filter(|name| name.starts_with('a')).count();
    assert!(of_a.abs_diff(gone.len() - of_a) <= 1, "{gone:?}");
}

#[test]
fn a_pod_that_somebody_else_took_away_holds_up_nobody() {
    let now = start();
    let mut ledger = repairing(60_000, now);
    lost_pods(&mut ledger, 3, now);
    for outcome in [Outcome::Gone, Outcome::Evicted] {
        let Next::Evict(candidate) = ledger.next_repair(now) else {
            panic!("the next one is tried at once");
        };
        ledger.evicted(&candidate, outcome, now);
        ledger.gone(&candidate.pod, &candidate.uid);
    }
    assert!(matches!(ledger.next_repair(now), Next::At(_)), "a trial");
    served(&mut ledger, "new", "r", now);
    let Next::Evict(candidate) = ledger.next_repair(now) else {
        panic!("it is trusted");
    };
    ledger.evicted(&candidate, Outcome::Gone, now);
    lost(&mut ledger, "another", "r", now);
    news(&mut ledger);
    assert_eq!(evict_all(&mut ledger, now), ["another"]);
}

#[test]
fn a_replacement_that_never_comes_is_a_repair_without_effect() {
    let now = start();
    let mut ledger = repairing(1000, now);
    lost_pods(&mut ledger, 2, now);
    assert_eq!(evict_all(&mut ledger, now).len(), 1);
    let Next::At(end) = ledger.next_repair(now) else {
        panic!("the trial ends");
    };
    assert!(matches!(ledger.next_repair(end), Next::At(_)));
    assert!(matches!(news(&mut ledger)[..], [News::InVain { .. }]));
}

#[test]
fn a_pod_that_a_budget_keeps_is_tried_again_later_and_others_meanwhile() {
    let now = start();
    let mut ledger = repairing(1000, now);
    lost(&mut ledger, "kept", "guarded", now);
    news(&mut ledger);
    let Next::Evict(kept) = ledger.next_repair(now) else {
        panic!("it is tried");
    };
    ledger.evicted(&kept, Outcome::Blocked, now);
    let Next::At(later) = ledger.next_repair(now) else {
        panic!("not at once");
    };
    lost(&mut ledger, "free", "open", now);
    news(&mut ledger);
    assert_eq!(evict_all(&mut ledger, now), ["free"]);
    assert_eq!(evict_all(&mut ledger, later), ["kept"]);
}

#[test]
fn the_pace_holds_over_all_owners() {
    let mut now = start();
    let mut ledger = repairing(20, now);
    for number in 0..200 {
        lost(
            &mut ledger,
            &format!("p{number}"),
            &format!("r{number}"),
            now,
        );
    }
    news(&mut ledger);
    let end = now + Duration::from_secs(60);
    let mut gone = 0;
    while now < end {
        gone += evict_all(&mut ledger, now).len();
        now += Duration::from_millis(100);
    }
    assert!((20..=23).contains(&gone), "{gone}");
}

#[test]
fn nothing_is_remembered_of_owners_that_are_well() {
    let mut now = start();
    let mut ledger = repairing(1000, now);
    lost_pods(&mut ledger, 1, now);
    evict_all(&mut ledger, now);
    served(&mut ledger, "new", "r", now);
    now += Duration::from_secs(3600);
    assert_eq!(ledger.next_repair(now), Next::Nothing);
    assert!(ledger.owners.is_empty() && ledger.pods.is_empty());
}
