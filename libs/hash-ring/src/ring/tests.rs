use proptest::prelude::*;

use super::Ring;

/// The number of points per host that placement hands out by default.
const REPLICATION: u32 = 100;

fn ring(hosts: &[&str]) -> Ring {
    Ring::new(hosts.iter().copied(), REPLICATION)
}

/// Actor ids against the owners that upstream's own code computes.
#[test]
fn owners_match_upstream() {
    let pair = ring(&["10.0.0.1:50002", "10.0.0.2:50002"]);
    let three = ring(&["10.0.0.1:50002", "10.0.0.2:50002", "10.0.0.3:50002"]);
    let local = Ring::new((1..=5).map(|n| format!("127.0.0.1:4000{n}")), REPLICATION);
    let six = ring(&["[fd00::1]:50002", "[fd00::2]:50002"]);
    let long = "a".repeat(200);
    for (id, of_pair, of_three, of_local, of_six) in [
        ("1", 2, 3, 2, 2),
        ("2", 1, 3, 5, 1),
        ("3", 2, 2, 1, 2),
        ("actor-1", 1, 1, 4, 1),
        ("actor-2", 1, 3, 4, 2),
        ("user||42", 1, 3, 4, 2),
        ("ünïcode", 2, 2, 5, 1),
        ("", 1, 1, 2, 1),
        (long.as_str(), 1, 3, 3, 1),
        ("123e4567-e89b-12d3-a456-426614174000", 2, 2, 2, 1),
    ] {
        assert_eq!(
            pair.owner(id),
            Some(format!("10.0.0.{of_pair}:50002").as_str()),
            "pair, {id}"
        );
        assert_eq!(
            three.owner(id),
            Some(format!("10.0.0.{of_three}:50002").as_str()),
            "three, {id}"
        );
        assert_eq!(
            local.owner(id),
            Some(format!("127.0.0.1:4000{of_local}").as_str()),
            "local, {id}"
        );
        assert_eq!(
            six.owner(id),
            Some(format!("[fd00::{of_six}]:50002").as_str()),
            "six, {id}"
        );
    }
}

/// One host of this set shares a point with another: removing either must bring back the other's.
#[test]
fn rings_made_from_others_equal_those_made_anew() {
    let names = [
        "10.0.0.1:500",
        "10.0.0.1:5002",
        "10.0.0.2:50002",
        "10.0.0.3:50002",
        "a:1",
        "z:9",
    ];
    let of = |set: u32| {
        let chosen = names
            .iter()
            .enumerate()
            .filter(move |(bit, _)| set & (1 << bit) != 0);
        chosen.map(|(_, name)| *name)
    };
    for from in 0..64 {
        let base = Ring::new(of(from), REPLICATION);
        for to in 0..64 {
            let anew = Ring::new(of(to), REPLICATION);
            assert_eq!(base.with_hosts(of(to)), anew, "{from:b} to {to:b}");
        }
    }
}

#[test]
fn ring_without_points_owns_nothing() {
    assert_eq!(ring(&[]).owner("1"), None);
    assert_eq!(Ring::new(["10.0.0.1:50002"], 0).owner("1"), None);
}

#[test]
fn only_host_owns_everything() {
    let ring = ring(&["10.0.0.1:50002"]);
    assert!((0..1000).all(|id| ring.owner(&id.to_string()) == Some("10.0.0.1:50002")));
}

#[test]
fn shared_point_belongs_to_the_smaller_host() {
    // Points 10 to 99 of the shorter name, with a last digit of its own, are points 0 to 9 of the longer.
    let shorter = "10.0.0.1:500";
    let longer = "10.0.0.1:5002";
    let ring = ring(&[longer, shorter]);
    let shared = crate::point::virtual_node(longer, 1);
    let index = ring
        .points
        .binary_search(&shared)
        .expect("the point is on the ring");
    assert_eq!(&*ring.hosts[ring.owners[index] as usize], shorter);
}

proptest! {
    #[test]
    fn order_and_repetition_of_hosts_do_not_matter(
        mut hosts in proptest::collection::vec("[0-9]{1,3}:[0-9]{1,5}", 0..12),
        replication in 0u32..40,
    ) {
        let one = Ring::new(hosts.iter().map(String::as_str), replication);
        hosts.reverse();
        hosts.extend_from_within(..);
        prop_assert_eq!(one, Ring::new(hosts.iter().map(String::as_str), replication));
    }

    #[test]
    fn new_host_takes_keys_only_for_itself(count in 1usize..12, keys in proptest::collection::vec(".{0,20}", 50)) {
        let host = |n: usize| format!("10.0.0.{n}:50002");
        let before = Ring::new((0..count).map(host), REPLICATION);
        let after = Ring::new((0..=count).map(host), REPLICATION);
        for key in &keys {
            let owner = after.owner(key);
            prop_assert!(owner == before.owner(key) || owner == Some(host(count).as_str()), "{key}");
        }
    }
}

#[test]
fn new_host_takes_about_its_share() {
    let host = |n: usize| format!("10.0.0.{n}:50002");
    let after = Ring::new((0..10).map(host), REPLICATION);
    let newest = host(9);
    let taken = (0..10_000)
        .filter(|id| after.owner(&format!("id-{id}")) == Some(newest.as_str()))
        .count();
    assert!(
        (500..2000).contains(&taken),
        "a tenth of the keys, give or take the spread of 100 points: {taken}"
    );
}
