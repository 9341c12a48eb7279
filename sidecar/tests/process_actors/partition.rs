//! A network that falls apart: who is on the smaller side serves no actor that the other side serves.

use tokio::time::Instant;
use trilby_testkit::lan::Lan;
use trilby_testkit::services::Placement;

use crate::world::{Door, World};

/// The doors of the caller and of every host.
fn doors(world: &World) -> Vec<Door> {
    let sidecars = std::iter::once(&world.caller).chain(&world.hosts);
    sidecars.map(Door::of).collect()
}

/// Under load through every sidecar, these are cut off, with the first host among them, and seen again.
async fn cut_off(lan: &Lan, machines: &[u8], world: &mut World) {
    let doors = doors(world);
    let trouble = async |world: &mut World| {
        lan.part(machines);
        let cut = Instant::now();
        world.all_answer().await;
        eprintln!("served by others after {:?}", cut.elapsed());
        let answers = Door::of(&world.hosts[0]).answers().await;
        assert_eq!(answers, 0, "its lease is over");
        lan.heal();
        let healed = Instant::now();
        doors[1].all_answer().await;
        eprintln!("back after {:?}", healed.elapsed());
    };
    world.under_load_through(&doors, trouble).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_cut_off_serves_nothing_that_others_took_over() {
    let lan = Lan::of(5).await;
    let placement = Placement::new().at(lan.machine(0));
    let hosts = [1, 2, 3].map(|number| lan.machine(number));
    let mut world = World::with(vec![placement], &hosts, lan.machine(4)).await;
    cut_off(&lan, &[1], &mut world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_with_a_host_is_succeeded_on_the_other_side() {
    let lan = Lan::of(7).await;
    let placements = [0, 1, 2].map(|number| Placement::new().at(lan.machine(number)));
    let placements = Placement::replicas(placements.into());
    let hosts = [3, 4, 5].map(|number| lan.machine(number));
    let mut world = World::with(placements, &hosts, lan.machine(6)).await;
    let leader = leader(&world).await;
    cut_off(&lan, &[leader, 3], &mut world).await;
}

/// Which of the replicas leads.
async fn leader(world: &World) -> u8 {
    for (number, placement) in (0..).zip(&world.placements) {
        if placement
            .metrics()
            .await
            .contains("dapr_placement_leader_status 1")
        {
            return number;
        }
    }
    panic!("actors answer, and nobody leads");
}
