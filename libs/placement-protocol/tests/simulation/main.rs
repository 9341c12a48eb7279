//! Both halves of the protocol under a seeded scheduler: servers that fail and follow one another,
//! sidecars that crash, freeze, stop and come back, streams that are late, stalled and cut, and clocks
//! that do not run alike. After every step no two of our sidecars serve one actor, and no version of a
//! stream goes back; in the end all agree and nothing is held.
//!
//! `SIMULATION_RUNS` sets how many seeds each kind of world is run with, `SIMULATION_SEED` the first of
//! them. A failure names its seed, which then replays exactly.

#![allow(
    clippy::print_stdout,
    reason = "what a run has seen, and what happens in one that is traced"
)]

mod calls;
mod chaos;
mod clock;
mod network;
mod orders;
mod random;
mod server;
mod sidecar;
mod world;

use chaos::{Plan, Succession};
use world::{Outcome, World};

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Names the seed of a run that panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with SIMULATION_SEED={} SIMULATION_RUNS=1", self.0);
        }
    }
}

/// Runs as many seeds as asked for, or `runs`.
fn simulate(runs: u64, plan: &Plan) -> Outcome {
    let first = variable("SIMULATION_SEED").unwrap_or(1);
    let runs = variable("SIMULATION_RUNS").unwrap_or(runs);
    let mut sum = Outcome::default();
    for seed in first..first + runs {
        let named = Named(seed);
        let outcome = World::new(seed, plan.clone()).run();
        drop(named);
        sum.calls += outcome.calls;
        sum.overlaps += outcome.overlaps;
        sum.frozen_overlaps += outcome.frozen_overlaps;
        sum.rounds += outcome.rounds;
        sum.leaders += outcome.leaders;
    }
    println!("{runs} seeds from {first}: {sum:?}");
    sum
}

#[test]
fn no_actor_is_served_twice_through_elections() {
    let outcome = simulate(150, &Plan::new(5, Succession::Elected));
    assert_eq!(outcome.overlaps, 0);
    assert!(outcome.leaders > 0);
}

#[test]
fn no_actor_is_served_twice_through_restarts_of_one_server() {
    let outcome = simulate(150, &Plan::new(6, Succession::Restarted));
    assert_eq!(outcome.overlaps, 0);
}

/// Upstream's sidecars serve for as long as they see a stream: what that costs is counted.
#[test]
fn ours_keep_the_promise_among_upstreams() {
    let plan = Plan {
        upstream_every: 2,
        ..Plan::new(6, Succession::Elected)
    };
    let outcome = simulate(80, &plan);
    assert!(outcome.calls > outcome.overlaps);
}

#[test]
fn a_hundred_hosts() {
    let plan = Plan {
        types: 5,
        between_calls: 100,
        between_troubles: 400,
        ..Plan::new(100, Succession::Elected)
    };
    simulate(2, &plan);
}

/// A round gathers what happened during the last one: replacing everybody costs far fewer rounds than there
/// are departures and arrivals. `SIMULATION_HOSTS` chooses how many.
#[test]
fn a_rollout_takes_few_rounds() {
    let hosts = variable("SIMULATION_HOSTS").map_or(200, |it| it.try_into().expect("small"));
    let plan = Plan {
        rollout: true,
        types: 5,
        between_calls: 200,
        ..Plan::new(hosts, Succession::Elected)
    };
    let outcome = World::new(1, plan).run();
    println!("{hosts} hosts replaced: {outcome:?}");
    let changes = 2 * u64::try_from(hosts).expect("small");
    assert!(outcome.rounds * 4 < changes, "{} rounds", outcome.rounds);
}
