//! The election under a seeded scheduler: every delay, loss, crash and freeze is a draw, and true time is known.
//!
//! `SIMULATION_SEED` replays one run, `SIMULATION_RUNS` sets how many there are.

mod world;

use std::{cell::RefCell, time::Duration};

use world::{Faults, World};

/// Runs unless told otherwise; each has some six elections.
const RUNS: u64 = 250;

/// How long healthy replicas may be without a leader: the goal for users.
const FAILOVER: Duration = Duration::from_secs(5);

/// Longer than any election takes that will ever end.
const STUCK: Duration = Duration::from_secs(15);

fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_RUNS").unwrap_or(RUNS),
    }
}

/// Runs `scenario` for each seed and names the one that fails; gives the number of elections.
fn for_each_seed(replicas: usize, scenario: impl Fn(&mut World)) -> usize {
    let mut elections = 0;
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut world = World::new(replicas, seed);
            scenario(&mut world);
            world.elections()
        }));
        match outcome {
            Ok(count) => elections += count,
            Err(panic) => {
                eprintln!("replicas={replicas}; replay with SIMULATION_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{replicas} replicas: {elections} elections");
    elections
}

/// Everything goes wrong for a while, then nothing: a leader is there soon, and stays.
fn storms(world: &mut World) {
    for _ in 0..3 {
        world.run(Duration::from_secs(20), Faults::severe());
        world.heal();
        // Until promises that were forgotten, and letters that were held up, do not matter any more.
        world.run(Duration::from_secs(9), Faults::none());
        world.leader_within(Duration::from_secs(1));
        world.keeps_its_leader(Duration::from_secs(10));
    }
}

#[test]
fn no_two_of_three_lead_at_once_whatever_happens() {
    let elections = for_each_seed(3, storms);
    assert!(
        std::env::var_os("SIMULATION_SEED").is_some() || elections >= 1000 || seeds().end < RUNS
    );
}

#[test]
fn no_two_of_five_lead_at_once_whatever_happens() {
    for_each_seed(5, storms);
}

#[test]
fn new_leader_is_there_in_time_after_the_old_one_was_killed() {
    let took = RefCell::new(Vec::new());
    for replicas in [3, 5] {
        for_each_seed(replicas, |world| {
            took.borrow_mut().push(world.leader_within(STUCK));
            for _ in 0..4 {
                world.run(Duration::from_secs(7), Faults::none());
                let killed = world.kill_leader();
                took.borrow_mut().push(world.leader_within(STUCK));
                world.restart(killed);
            }
        });
    }
    let mut took = took.into_inner();
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    let late = took.iter().filter(|it| **it > FAILOVER).count();
    eprintln!("median {median:?}, longest {longest:?}, {late} over {FAILOVER:?}");
    // Clocks that differ by ten percent, and two who stand at the same instant again and again.
    assert!(late <= took.len() / 1000, "{late} of {}", took.len());
}

#[test]
fn new_leader_is_there_at_once_after_the_old_one_resigned() {
    for_each_seed(3, |world| {
        world.leader_within(FAILOVER);
        for _ in 0..4 {
            world.run(Duration::from_secs(5), Faults::none());
            let resigned = world.resign_leader();
            world.leader_within(Duration::from_millis(1200));
            world.kill(resigned);
            world.restart(resigned);
        }
    });
}

#[test]
fn healthy_leader_stays_while_others_come_and_go() {
    for_each_seed(3, |world| {
        world.leader_within(FAILOVER);
        for _ in 0..3 {
            world.run(Duration::from_secs(5), Faults::none());
            let follower = world.kill_follower();
            world.keeps_its_leader(Duration::from_secs(6));
            world.restart(follower);
            world.keeps_its_leader(Duration::from_secs(6));
            world.cut_off(follower);
            world.keeps_its_leader(Duration::from_secs(12));
            world.heal();
            world.keeps_its_leader(Duration::from_secs(6));
        }
    });
}
