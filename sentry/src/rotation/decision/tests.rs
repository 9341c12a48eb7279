use proptest::prelude::*;

use super::*;
use crate::rotation::record::Bridge;

const TTL: Duration = Duration::from_hours(24);
const BEGAN: u64 = 1_800_000_000;

struct World {
    record: Record,
    orders: Orders,
    authority: AuthorityFacts,
    holders: Holders,
    now: SystemTime,
    leaves_end_here: u64,
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn known(untrusting: &[&str], snapshots: &[&str]) -> Holders {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Holders::Known {
        untrusting: names(untrusting),
        snapshots: names(snapshots),
    }
}

fn bridge(not_after: u64) -> Option<Bridge> {
    Some(Bridge {
        fingerprint: "ab".to_owned(),
        not_after,
    })
}

impl World {
    fn new(phase: Phase) -> Self {
        Self {
            record: Record {
                phase,
                since: BEGAN,
                ..Record::default()
            },
            orders: Orders::default(),
            authority: AuthorityFacts {
                root_due: at(BEGAN + 1_000_000_000),
                ours: true,
                outdated: None,
                old_roots_ended: false,
                fits_record: true,
            },
            holders: known(&[], &[]),
            now: at(BEGAN + 1),
            leaves_end_here: 0,
        }
    }

    fn decide(&self) -> Step {
        decide(&Situation {
            record: &self.record,
            orders: &self.orders,
            authority: &self.authority,
            holders: &self.holders,
            now: self.now,
            workload_ttl: TTL,
            leaves_end_here: self.leaves_end_here,
        })
    }

    fn waits_for(&self) -> Waiting {
        match self.decide() {
            Step::Stay(waiting) => waiting,
            Step::Go(transition) => panic!("{transition:?}"),
        }
    }

    fn goes(&self) -> Transition {
        match self.decide() {
            Step::Go(transition) => transition,
            Step::Stay(waiting) => panic!("{waiting:?}"),
        }
    }

    fn later(&mut self, by: Duration) {
        self.now += by;
    }
}

#[test]
fn a_rotation_begins_by_order_by_age_or_by_another_kind_of_authority() {
    let prepare = |reason: &str, trigger: Option<&str>| Transition::Prepare {
        reason: reason.to_owned(),
        trigger: trigger.map(str::to_owned),
    };
    for phase in [Phase::Stable, Phase::Retired] {
        let new = || {
            let mut world = World::new(phase);
            world.record.bridge = bridge(u64::MAX);
            world.holders = known(&[], &["shop/old"]);
            world
        };
        new().waits_for();
        let mut ordered = new();
        ordered.orders.rotate = Some("1".to_owned());
        assert_eq!(ordered.goes(), prepare("asked for by hand: 1", Some("1")));
        ordered.record.trigger = Some("1".to_owned());
        ordered.waits_for();
        let mut old = new();
        old.now = old.authority.root_due;
        assert_eq!(
            old.goes(),
            prepare("two thirds of the root's life are over", None)
        );
        let mut outdated = new();
        outdated.authority.outdated = Some("keys".to_owned());
        assert_eq!(outdated.goes(), prepare("keys", None));
    }
}

#[test]
fn an_authority_of_others_is_announced_and_replaced_only_by_order() {
    let mut world = World::new(Phase::Stable);
    world.authority.ours = false;
    world.authority.outdated = Some("keys".to_owned());
    assert_eq!(world.waits_for(), Waiting::nothing());
    world.now = world.authority.root_due;
    assert!(world.waits_for().text.contains("not of sentry's making"));
    world.orders.rotate = Some("now".to_owned());
    assert!(matches!(world.goes(), Transition::Prepare { .. }));
}

#[test]
fn an_endless_order_is_followed_once() {
    let mut world = World::new(Phase::Stable);
    world.orders.rotate = Some("x".repeat(10_000));
    let Transition::Prepare { trigger, reason } = world.goes() else {
        panic!("it was asked for");
    };
    assert!(reason.len() < 100);
    world.record.trigger = trigger;
    world.waits_for();
}

#[test]
fn nothing_moves_while_paused() {
    for phase in Phase::ALL {
        let mut world = World::new(phase);
        world.orders = Orders {
            rotate: Some("1".to_owned()),
            paused: true,
        };
        world.authority.old_roots_ended = true;
        world.authority.fits_record = false;
        world.later(1000 * TTL);
        assert_eq!(world.waits_for().text, "paused");
        world.orders.rotate = None;
        let text = world.waits_for().text;
        assert_eq!(text.is_empty(), phase.is_rest(), "nothing is due at rest");
    }
}

#[test]
fn documents_of_somebody_else_end_the_rotation() {
    for phase in [
        Phase::Prepared,
        Phase::Distributed,
        Phase::Active,
        Phase::Retired,
    ] {
        let mut world = World::new(phase);
        world.authority.fits_record = false;
        assert_eq!(world.goes(), Transition::Abandon);
    }
}

#[test]
fn the_next_root_is_distributed_at_once() {
    assert_eq!(World::new(Phase::Prepared).goes(), Transition::Distribute);
}

#[test]
fn the_new_issuer_waits_until_everybody_trusts_its_root() {
    let mut world = World::new(Phase::Distributed);
    world.record.bridge = bridge(u64::MAX);
    world.holders = known(&["shop/a", "shop/b"], &["shop/a"]);
    assert_eq!(world.waits_for().names, ["shop/a", "shop/b"]);
    world.holders = known(&[], &["shop/a"]);
    assert_eq!(world.goes(), Transition::Activate);
}

#[test]
fn with_a_bridge_one_life_of_a_certificate_is_enough() {
    let mut world = World::new(Phase::Distributed);
    world.record.bridge = bridge(u64::MAX);
    for holders in [known(&["shop/a"], &[]), Holders::Unknown("away".to_owned())] {
        world.holders = holders;
        world.now = at(BEGAN) + TTL;
        world.waits_for();
        world.later(replica_lag(TTL));
        assert_eq!(world.goes(), Transition::Activate);
    }
}

#[test]
fn without_a_bridge_it_waits_for_ever_and_lists_the_pods() {
    let mut world = World::new(Phase::Distributed);
    world.holders = known(&["shop/a"], &["shop/a"]);
    world.later(1000 * TTL);
    assert_eq!(world.waits_for().names, ["shop/a"]);
    world.holders = Holders::Unknown("cannot list pods".to_owned());
    assert_eq!(world.waits_for().text, "cannot list pods");
    world.authority.old_roots_ended = true;
    assert_eq!(
        world.goes(),
        Transition::Activate,
        "nothing is left to lose"
    );
}

#[test]
fn without_a_bridge_pods_that_are_being_made_are_thought_of() {
    let mut world = World::new(Phase::Distributed);
    world.waits_for();
    world.later(MOUNT_LAG);
    assert_eq!(world.goes(), Transition::Activate);
}

#[test]
fn the_old_root_stays_until_the_last_of_its_leaves_has_ended() {
    let mut world = World::new(Phase::Active);
    world.record.leaves_end = Some(BEGAN + 100);
    for seconds in [0, 99, 100] {
        world.now = at(BEGAN + seconds);
        world.waits_for();
    }
    world.now = at(BEGAN + 101);
    world.leaves_end_here = BEGAN + 500;
    let until = world.leaves_end_here;
    assert_eq!(
        world.goes(),
        Transition::Prolong { until },
        "it held for longer then"
    );
    world.record.leaves_end = Some(until);
    world.waits_for();
    world.now = at(until + 1);
    assert_eq!(world.goes(), Transition::Retire);
    world.now = at(BEGAN);
    world.authority.old_roots_ended = true;
    assert_eq!(world.goes(), Transition::Retire, "it vouches for nothing");
}

#[test]
fn the_bridge_stays_as_long_as_somebody_needs_it_and_it_holds() {
    let mut world = World::new(Phase::Retired);
    world.record.bridge = bridge(BEGAN + 1000);
    world.holders = known(&[], &["shop/a"]);
    assert_eq!(world.waits_for().names, ["shop/a"]);
    world.holders = Holders::Unknown("nobody knows".to_owned());
    assert_eq!(world.waits_for().text, "nobody knows");
    world.now = at(BEGAN + 1000);
    assert_eq!(world.goes(), Transition::DropBridge);
    world.record.bridge = bridge(u64::MAX);
    world.holders = known(&["not yet asked again"], &[]);
    world.now = at(BEGAN) + TTL - Duration::from_secs(1);
    assert_eq!(
        world.waits_for().text,
        "every workload to ask for a certificate once more"
    );
    world.later(Duration::from_secs(1));
    assert_eq!(world.goes(), Transition::DropBridge);
}

fn phases() -> impl Strategy<Value = Phase> {
    prop::sample::select(Phase::ALL.to_vec())
}

fn holders() -> impl Strategy<Value = Holders> {
    prop_oneof![
        Just(Holders::Unknown("x".to_owned())),
        Just(known(&[], &[])),
        Just(known(&["a"], &[])),
        Just(known(&["a"], &["a"])),
        Just(known(&[], &["a"])),
    ]
}

proptest! {
    /// Whatever is the case: nothing is taken from a workload that may still need it.
    #[test]
    fn no_step_cuts_anybody_off(
        phase in phases(),
        holders in holders(),
        lasted in 0_u64..400_000,
        leaves_end in prop::option::of(0_u64..400_000),
        bridge_end in prop::option::of(0_u64..400_000),
        order in prop::option::of("[ab]"),
        here in 0_u64..400_000,
        (paused, ended) in any::<(bool, bool)>(),
    ) {
        let mut world = World::new(phase);
        world.now = at(BEGAN + lasted);
        world.holders = holders;
        world.orders = Orders { rotate: order, paused };
        world.authority.old_roots_ended = ended;
        world.record.leaves_end = leaves_end.map(|end| BEGAN + end);
        world.leaves_end_here = BEGAN + here;
        world.record.bridge = bridge_end.and_then(|end| bridge(BEGAN + end));
        let Step::Go(transition) = world.decide() else { return Ok(()) };
        prop_assert!(!paused);
        let trusted = matches!(&world.holders, Holders::Known { untrusting, .. } if untrusting.is_empty());
        let renewed = lasted >= TTL.as_secs();
        match transition {
            Transition::Activate => prop_assert!(
                ended || trusted || (renewed && world.record.bridge.is_some())
            ),
            Transition::Retire => prop_assert!(
                ended || leaves_end.is_some_and(|end| end.max(here) < lasted)
            ),
            Transition::DropBridge => {
                let unneeded = matches!(&world.holders, Holders::Known { snapshots, .. } if snapshots.is_empty());
                prop_assert!(unneeded || bridge_end.is_none_or(|end| end <= lasted));
            }
            Transition::Prolong { until } => prop_assert!(leaves_end.is_none_or(|end| BEGAN + end < until)),
            Transition::Prepare { .. } => prop_assert!(phase.is_rest()),
            Transition::Distribute => prop_assert_eq!(phase, Phase::Prepared),
            Transition::Abandon => prop_assert!(!world.authority.fits_record),
        }
    }
}
