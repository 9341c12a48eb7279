//! Actors of real sidecars around the real placement service: whatever befalls their hosts, no actor is
//! served by two of them at a time, and all are served in the end.

#![allow(clippy::unwrap_used, reason = "test")]

mod partition;
mod world;

use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_is_served_twice_while_hosts_are_replaced() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            for _ in 0..3 {
                world.add().await;
                let mut oldest = world.hosts.remove(0);
                assert!(oldest.stop().await.success());
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_actor_is_served_twice_when_hosts_crash() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            for _ in 0..2 {
                world.hosts.remove(0).kill().await;
                world.add().await;
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_host_loses_its_actors_and_serves_none_of_them_when_it_goes_on() {
    let mut world = World::start(3).await;
    world
        .under_load(async |world| {
            world.hosts[0].freeze();
            // Served by the others as soon as its lease is over.
            world.all_answer().await;
            world.hosts[0].thaw();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_go_on_when_placement_crashes_and_comes_back() {
    let mut world = World::start(2).await;
    world
        .under_load(async |world| {
            world.placements[0].kill().await;
            world.placements[0].start().await;
            world.all_answer().await;
        })
        .await;
}
